/**
 * Chat templates in JavaScript: the interpreter of @huggingface/jinja, made to agree with Jinja2 on
 * what templates do, and with bounds on what a hostile one can make of a small file.
 *
 * Time is not bounded here: whoever runs this ends the worker (see runner.js). What is bounded is
 * memory, which goes faster than a clock can see: the length of every text and list, and the sum of
 * all that were made. What makes text longer is looked at before it does so.
 *
 * Keep in step with pyapp/leadout/chat_jinja.py, which does the same work in CPython;
 * tests/unit/test_template_js.py holds both to the same texts.
 *
 * @module template/interpreter
 */

import { countOf, range, reprOfText, strftime, strip, TemplateError } from "./python.js";

const MAX_ITEMS = 250_000;
/** Characters of all texts that one rendering makes; an item of a list counts as 8. */
const MAX_MADE_CHARS = 1 << 26;
const CHARS_PER_ITEM = 8;

/** Statements whose value is not text. */
const SILENT = new Set(["Set", "Macro", "Comment"]);
/** Nodes that make a new text or list out of others; what blocks make is added up from these. */
const MAKING = new Set(["BinaryExpression", "CallExpression", "FilterExpression", "ArrayLiteral"]);
const CONTAINERS = new Set([
  ...["ArrayValue", "TupleValue", "ObjectValue", "KeywordArgumentsValue", "NamespaceValue"],
]);

/**
 * Return a function that renders templates. It changes the library's classes, so call it once.
 *
 * @param {any} library the module @huggingface/jinja
 * @returns {(source: string, names: Record<string, unknown>, maxChars: number, now?: Date) => string}
 *   renders a template's source with the names that it may use; it throws an Error whose message
 *   says what is wrong with the template
 */
export function makeRenderer(library) {
  const probe = new library.Environment();
  const StringValue = probe.set("text", "").constructor;
  const IntegerValue = probe.set("integer", 0).constructor;
  const BooleanValue = probe.set("boolean", true).constructor;
  const ArrayValue = probe.set("list", []).constructor;
  const FunctionValue = probe.set("function", () => null).constructor;
  const Break = classOfThrown(library, "Break");
  const Continue = classOfThrown(library, "Continue");
  /** The bounds of the rendering under way. */
  let maxChars = 0;
  let numMade = 0;

  /** @param {number} numChars */
  function checkSize(numChars) {
    if (numChars > maxChars) {
      throw new TemplateError(`a text of more than ${maxChars.toLocaleString("en")} characters`);
    }
  }

  /** @param {number} numItems */
  function checkItems(numItems) {
    if (numItems > MAX_ITEMS) {
      throw new TemplateError(`a list of more than ${MAX_ITEMS.toLocaleString("en")} items`);
    }
  }

  /** @param {any} value that an expression made */
  function countMade(value) {
    if (value instanceof StringValue) {
      checkSize(value.value.length);
      numMade += value.value.length;
    } else if (value instanceof ArrayValue) {
      checkItems(value.value.length);
      numMade += CHARS_PER_ITEM * value.value.length;
    }
    if (numMade > MAX_MADE_CHARS) {
      throw new TemplateError(
        `texts of more than ${MAX_MADE_CHARS.toLocaleString("en")} characters in all`,
      );
    }
  }

  /**
   * Refuse a value whose text would be too long. Lists can hold others many times over, so that
   * some hundred bytes stand for more text than there is memory.
   *
   * @param {any} value
   * @param {(depth: number) => number} itemChars further characters that an item takes
   */
  function checkWritten(value, itemChars = () => 0) {
    let numChars = 0;
    /** @param {any} part @param {number} depth */
    const visit = (part, depth) => {
      numChars += 2 + itemChars(depth);
      if (part instanceof StringValue) numChars += part.value.length;
      checkSize(numChars);
      if (!CONTAINERS.has(part.type)) return;
      const isList = part instanceof ArrayValue;
      for (const [key, item] of isList ? part.value.entries() : part.value) {
        if (!isList) numChars += key.length + 4;
        visit(item, depth + 1);
      }
    };
    visit(value, 0);
  }

  /**
   * @param {any} value
   * @returns {string} what Python's str() makes of it
   */
  function textOf(value) {
    if (value instanceof StringValue) return value.value;
    if (value.type === "UndefinedValue") return "";
    checkWritten(value);
    return repr(value);
  }

  /**
   * @param {any} value
   * @returns {string} what Python's repr() makes of it
   */
  function repr(value) {
    if (value instanceof StringValue) return reprOfText(value.value);
    if (value instanceof BooleanValue) return value.value ? "True" : "False";
    if (value.type === "NullValue") return "None";
    if (value.type === "UndefinedValue") return "Undefined";
    if (value instanceof ArrayValue) {
      const items = value.value.map(repr).join(", ");
      if (value.type !== "TupleValue") return `[${items}]`;
      return value.value.length === 1 ? `(${items},)` : `(${items})`;
    }
    if (CONTAINERS.has(value.type)) {
      const entries = Array.from(value.value, ([key, item]) => `${reprOfText(key)}: ${repr(item)}`);
      return `{${entries.join(", ")}}`;
    }
    if (value instanceof FunctionValue) throw new TemplateError("a function is not text");
    return value.toString();
  }

  /** @param {any} left @param {any} right @returns {boolean} */
  function areEqual(left, right) {
    if (left instanceof ArrayValue && right instanceof ArrayValue) {
      return (
        left.value.length === right.value.length &&
        left.value.every((/** @type {any} */ item, /** @type {number} */ i) =>
          areEqual(item, right.value[i])
        )
      );
    }
    if (CONTAINERS.has(left.type) && CONTAINERS.has(right.type)) {
      if (left.value === right.value) return true;
      if (left instanceof ArrayValue || right instanceof ArrayValue) return false;
      if (left.value.size !== right.value.size) return false;
      return [...left.value].every(
        ([key, item]) => right.value.has(key) && areEqual(item, right.value.get(key)),
      );
    }
    const isNothing = (/** @type {any} */ value) =>
      value.type === "NullValue" || value.type === "UndefinedValue";
    if (isNothing(left) || isNothing(right)) return left.type === right.type;
    const isNumber = (/** @type {any} */ value) =>
      typeof value.value === "number" || typeof value.value === "boolean";
    if (isNumber(left) && isNumber(right)) return Number(left.value) === Number(right.value);
    return left.value === right.value;
  }

  /** Python's str.strip. @param {any} text @param {any[]} args @param {string} ends */
  function stripped(text, args, ends) {
    const chars = args[0] instanceof StringValue ? args[0].value : null;
    return new StringValue(strip(text.value, chars, ends));
  }

  // ---- methods of texts, as Python has them ------------------------------------------------

  const builtinsOf = Object.getOwnPropertyDescriptor(StringValue.prototype, "builtins")?.get;
  const isChanged = new WeakSet();
  Object.defineProperty(StringValue.prototype, "builtins", {
    get() {
      const methods = builtinsOf?.call(this);
      if (isChanged.has(methods)) return methods;
      isChanged.add(methods);
      const method = (/** @type {string} */ name) => methods.get(name).value;
      const [replace, split] = [method("replace"), method("split")];
      /** @type {Record<string, (args: any[]) => any>} */
      const changed = {
        strip: (args) => stripped(this, args, "both"),
        lstrip: (args) => stripped(this, args, "start"),
        rstrip: (args) => stripped(this, args, "end"),
        capitalize: () => {
          const [first = "", ...rest] = this.value;
          return new StringValue(first.toUpperCase() + rest.join("").toLowerCase());
        },
        replace: (args) => {
          const [old, text] = args.map((arg) => arg.value);
          if (typeof old === "string" && typeof text === "string") {
            const count = countOf(this.value, old);
            checkSize(this.value.length + count * Math.max(text.length - old.length, 0));
          }
          return replace(args);
        },
        split: (args) => {
          const separator = args[0]?.value;
          checkItems(typeof separator === "string" ? countOf(this.value, separator) : this.value.length / 2);
          return split(args);
        },
      };
      for (const [name, value] of Object.entries(changed)) {
        methods.set(name, new FunctionValue(value));
      }
      return methods;
    },
  });

  // ---- the interpreter ---------------------------------------------------------------------

  /** Stands for an expression whose value is known. @param {any} value */
  const known = (value) => ({ type: "Known", value });

  class Interpreter extends library.Interpreter {
    /** @param {any} node @param {any} environment */
    evaluate(node, environment) {
      if (node?.type === "Known") return node.value;
      const value = super.evaluate(node, environment);
      if (MAKING.has(node?.type)) countMade(value);
      return value;
    }

    /**
     * The innermost loop that goes on, and whether a "break" ended it.
     * @type {{body: any[], isBroken: boolean} | null}
     */
    #loop = null;

    /**
     * What stands before a "break" or "continue" is part of the text, which the library forgets.
     *
     * @param {any[]} nodes
     * @param {any} environment
     */
    evaluateBlock(nodes, environment) {
      const loop = this.#loop?.body === nodes ? this.#loop : null;
      if (loop?.isBroken) throw new Break("the loop has ended");
      // In Jinja2 every round has its own names; here the next one would see this one's.
      const scope = loop === null ? environment : new library.Environment(environment);
      let text = "";
      try {
        for (const node of nodes) {
          const value = this.evaluate(node, scope);
          if (!SILENT.has(node.type)) text += textOf(value);
          checkSize(text.length);
        }
      } catch (error) {
        if (!(error instanceof Break || error instanceof Continue)) throw error;
        const ending = /** @type {Error & {text?: string}} */ (error);
        text += ending.text ?? "";
        if (loop === null) {
          ending.text = text;
          throw ending;
        }
        loop.isBroken = error instanceof Break;
      }
      return new StringValue(text);
    }

    /** @param {any} node @param {any} environment */
    evaluateFor(node, environment) {
      const isFiltered = node.iterable.type === "SelectExpression";
      let items = this.evaluate(isFiltered ? node.iterable.lhs : node.iterable, environment);
      if (items.type === "UndefinedValue") items = new ArrayValue([]);
      if (items instanceof StringValue) {
        checkItems(items.value.length);
        const chars = Array.from(items.value, (char) => new StringValue(char));
        items = new ArrayValue(chars);
      }
      const iterable = isFiltered ? { ...node.iterable, lhs: known(items) } : known(items);
      const outer = this.#loop;
      this.#loop = { body: node.body, isBroken: false };
      try {
        return super.evaluateFor({ ...node, iterable }, environment);
      } finally {
        this.#loop = outer;
      }
    }

    /** @param {any} node @param {any} environment */
    evaluateMemberExpression(node, environment) {
      const object = this.evaluate(node.object, environment);
      if (object.type === "UndefinedValue") {
        const name = node.object.type === "Identifier" ? `"${node.object.value}"` : "a value";
        throw new TemplateError(`${name} is undefined, and something of it is asked for`);
      }
      return super.evaluateMemberExpression({ ...node, object: known(object) }, environment);
    }

    /** @param {any} node @param {any} environment */
    evaluateBinaryExpression(node, environment) {
      const operator = node.operator.value;
      if (operator === "and" || operator === "or") {
        return super.evaluateBinaryExpression(node, environment);
      }
      const left = this.evaluate(node.left, environment);
      const right = this.evaluate(node.right, environment);
      if (operator === "==") return new BooleanValue(areEqual(left, right));
      if (operator === "!=") return new BooleanValue(!areEqual(left, right));
      if (operator === "~") return new StringValue(textOf(left) + textOf(right));
      const isText = [left, right].map((value) => value instanceof StringValue);
      if (operator === "+" && isText[0] !== isText[1]) {
        throw new TemplateError("a text and something else are added; ~ joins them");
      }
      if (operator === "*" && isText[0] !== isText[1]) {
        const [text, count] = isText[0] ? [left, right] : [right, left];
        if (!(count instanceof IntegerValue)) throw new TemplateError("a text is multiplied");
        checkSize(text.value.length * count.value);
        return new StringValue(text.value.repeat(Math.max(count.value, 0)));
      }
      if ((operator === "in" || operator === "not in") && right instanceof ArrayValue) {
        const isIn = right.value.some((/** @type {any} */ item) => areEqual(item, left));
        return new BooleanValue(isIn === (operator === "in"));
      }
      const values = { ...node, left: known(left), right: known(right) };
      return super.evaluateBinaryExpression(values, environment);
    }

    /** @param {any} operand @param {any} node @param {any} environment */
    applyFilter(operand, node, environment) {
      const isCall = node.type === "CallExpression";
      const name = isCall ? node.callee.value : node.value;
      if (operand instanceof StringValue) {
        if (name === "length" || name === "count") {
          return new IntegerValue(Array.from(operand.value).length);
        }
        if (name === "trim") {
          const [args] = isCall ? this.evaluateArguments(node.args, environment) : [[]];
          return stripped(operand, args, "both");
        }
      }
      if (name === "string") return new StringValue(textOf(operand));
      if (name === "map" && isCall && operand instanceof ArrayValue) {
        const [[filter, ...rest]] = this.evaluateArguments(node.args, environment);
        if (filter instanceof StringValue) {
          const callee = { type: "Identifier", value: filter.value };
          const args = rest.map(known);
          const each = args.length > 0 ? { type: "CallExpression", callee, args } : callee;
          const values = operand.value.map((/** @type {any} */ item) =>
            this.applyFilter(item, each, environment)
          );
          return new ArrayValue(values);
        }
      }
      if (name === "tojson" && !isCall) checkWritten(operand);
      if (!isCall || !["tojson", "join", "indent"].includes(name)) {
        return super.applyFilter(operand, node, environment);
      }
      const [positional, keywords] = this.evaluateArguments(node.args, environment);
      const argument = (/** @type {number} */ place, /** @type {string} */ key) =>
        (positional[place] ?? keywords.get(key))?.value;
      if (name === "tojson") {
        const [indent, separators] = [argument(1, "indent"), argument(2, "separators")];
        let itemChars = 0;
        for (const separator of Array.isArray(separators) ? separators : []) {
          itemChars += String(separator.value).length;
        }
        checkWritten(operand, (depth) => itemChars + (Number(indent) || 0) * depth);
      } else if (name === "join") {
        const separator = String(argument(0, "d") ?? argument(0, "separator") ?? "");
        if (positional.length === 0 && keywords.has("d")) positional.push(keywords.get("d"));
        const numItems = operand.value?.length ?? 0;
        checkSize(numItems * separator.length);
        if (operand instanceof ArrayValue) checkWritten(operand);
      } else {
        const numLines = operand instanceof StringValue ? countOf(operand.value, "\n") + 1 : 0;
        checkSize(numLines * (Number(argument(0, "width")) || 0));
      }
      const args = positional.map(known);
      for (const [key, value] of keywords) {
        args.push({ type: "KeywordArgumentExpression", key: { value: key }, value: known(value) });
      }
      return super.applyFilter(operand, { ...node, args }, environment);
    }
  }

  /** @type {{source: string, program: any} | null} the template that was used last */
  let parsed = null;

  return (source, names, limit, now = new Date()) => {
    [maxChars, numMade] = [limit, 0];
    if (parsed?.source !== source) {
      const options = { lstrip_blocks: true, trim_blocks: true };
      parsed = { source, program: library.parse(library.tokenize(source, options)) };
    }
    const environment = new library.Environment();
    const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
    const functions = {
      raise_exception: (/** @type {unknown} */ message) => {
        throw new TemplateError(String(message));
      },
      range,
      strftime_now: (/** @type {unknown} */ format) => strftime(now, String(format)),
    };
    for (const [name, value] of Object.entries({ ...constants, ...functions, ...names })) {
      environment.set(name, value);
    }
    const text = Reflect.construct(Interpreter, [environment]).run(parsed.program).value;
    checkSize(text.length);
    return text;
  };
}

/**
 * The library keeps the classes with which it leaves a loop to itself.
 *
 * @param {any} library
 * @param {string} type "Break" or "Continue"
 * @returns {new (message?: string) => Error}
 */
function classOfThrown(library, type) {
  try {
    new library.Interpreter().evaluate({ type }, new library.Environment());
  } catch (error) {
    return /** @type {any} */ (error).constructor;
  }
  throw new Error(`@huggingface/jinja no longer leaves loops as template/interpreter.js expects`);
}
