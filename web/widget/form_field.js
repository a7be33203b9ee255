/**
 * Makes <leadout-chat> a field of a form: a name, a value, validity, reset, disabled.
 *
 * Its value is the last answer, or with `submits="conversation"` all messages as JSON. The value is built when the form
 * is sent, not at every token. With `required`, the form is not sent without an answer or while one is being written.
 *
 * @module form_field
 */

/** @import {Message} from "./message_tree.js" */

import { ElementBase } from "./attributes.js";

/** The state of a field. @typedef {{answer: string, messages: Message[], isWriting: boolean}} FieldState */

const NO_ANSWER = "There is no answer yet: send a message first.";
const IS_WRITING = "The answer is still being written: wait for its end, or stop it.";

/** @abstract */
export class FormField extends ElementBase {
  static formAssociated = true;

  /** Attributes that change whether the field is valid. */
  static fieldAttributes = ["required"];

  #internals = this.attachInternals();
  #customError = "";
  /** The form of this field. @type {HTMLFormElement | null} */
  #form = null;
  /** @param {FormDataEvent} event */
  #fill = (event) => {
    // Like the browser for its own fields, skip a field without a name and a disabled one.
    if (this.name !== "" && !this.matches(":disabled")) {
      event.formData.append(this.name, this.value);
    }
  };

  constructor() {
    super();
    this.addEventListener("invalid", (event) => {
      // Browsers cannot show their message on an element inside the shadow root.
      event.preventDefault();
      this.sayInvalid(this.validationMessage);
      this.focus();
    });
  }

  /** @param {HTMLFormElement | null} form */
  formAssociatedCallback(form) {
    this.#form?.removeEventListener("formdata", this.#fill);
    this.#form = form;
    form?.addEventListener("formdata", this.#fill);
  }

  /** @param {boolean} isDisabled by its own attribute or by a fieldset around it */
  formDisabledCallback(isDisabled) {
    for (const child of this.shadowRoot?.children ?? []) {
      child.toggleAttribute("inert", isDisabled);
    }
    this.#internals.ariaDisabled = isDisabled ? "true" : null;
  }

  formResetCallback() {
    this.resetField();
  }

  /** The value's name in the form; without a name nothing is sent. */
  get name() {
    return this.getAttribute("name") ?? "";
  }

  set name(name) {
    this.setAttribute("name", name);
  }

  /** The value that the form would send. @returns {string} */
  get value() {
    const { answer, messages } = this.fieldState();
    return this.getAttribute("submits") === "conversation" ? JSON.stringify(messages) : answer;
  }

  get disabled() {
    return this.hasAttribute("disabled");
  }

  set disabled(disabled) {
    this.toggleAttribute("disabled", disabled);
  }

  get required() {
    return this.hasAttribute("required");
  }

  set required(required) {
    this.toggleAttribute("required", required);
  }

  get type() {
    return this.localName;
  }

  get form() {
    return this.#internals.form;
  }

  get labels() {
    return this.#internals.labels;
  }

  get willValidate() {
    return this.#internals.willValidate;
  }

  get validity() {
    return this.#internals.validity;
  }

  get validationMessage() {
    return this.#internals.validationMessage;
  }

  checkValidity() {
    return this.#internals.checkValidity();
  }

  reportValidity() {
    return this.#internals.reportValidity();
  }

  /** @param {string} message why the form cannot be sent; "" if it can */
  setCustomValidity(message) {
    this.#customError = message;
    this.refreshField();
  }

  /** Check again whether the form can be sent. */
  refreshField() {
    const { answer, isWriting } = this.fieldState();
    this.#internals.ariaRequired = this.required ? "true" : null;
    if (this.#customError) {
      this.#internals.setValidity({ customError: true }, this.#customError);
    } else if (this.required && isWriting) {
      this.#internals.setValidity({ customError: true }, IS_WRITING);
    } else if (this.required && answer === "") {
      this.#internals.setValidity({ valueMissing: true }, NO_ANSWER);
    } else {
      this.#internals.setValidity({});
    }
  }

  /**
   * @abstract
   * @returns {FieldState}
   */
  fieldState() {
    throw new Error("fieldState is missing");
  }

  /** Clear the conversation. @abstract */
  resetField() {}

  /** @abstract @param {string} _message why the form is not sent */
  sayInvalid(_message) {}
}
