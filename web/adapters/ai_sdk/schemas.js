/**
 * JSON Schema of the schemas that tools come with.
 *
 * @module adapters/ai_sdk/schemas
 */

import { requestError } from "../refusals.js";

/** Where libraries say themselves in JSON Schema; see standardschema.dev/json-schema. */
const STANDARD = "~standard";

/**
 * @param {any} schema
 * @param {string} toolName
 * @returns {Record<string, unknown>}
 * @throws {import("../../client/errors.js").LeadoutError} RequestError: it is none of those that ChatTool names
 */
export function toSchema(schema, toolName) {
  const given = typeof schema === "function" && !(STANDARD in schema) ? schema() : schema; // the SDK's lazy ones
  if (given?.[STANDARD]?.jsonSchema) {
    return given[STANDARD].jsonSchema.input({ target: "draft-2020-12" });
  }
  if (typeof given?.jsonSchema === "object") {
    return given.jsonSchema;
  }
  if (typeof given === "object" && given !== null && !(STANDARD in given)) {
    return given;
  }
  throw requestError(
    `The input schema of the tool "${toolName}" cannot be written as JSON Schema. Give JSON Schema, or what the AI ` +
      "SDK's zodSchema or jsonSchema makes of it.",
    "tools",
  );
}
