// The JSON schema of an answer as fields of a form.
//
// The schema is untrusted. Values stay JSON text, in which digits and key order are kept; what a
// field does not represent is edited as JSON, and the kernel validates the answer.

import type { Approval } from "../protocol.js";
import { jsonItems, jsonMembers, jsonString } from "./json.js";

const MAX_FIELDS = 30;
const MAX_OPTIONS = 500;
const MAX_OPTION = 200;
const MAX_LABEL = 200;
const MAX_HINT = 1000;
const MAX_NUMBER = 40;
/** Maximum length of a text on one line. */
const LINE = 200;

export const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const REFERENCE = /^#\/(\$defs|definitions)\/([^/~%]+)$/;
const COMPOSED = ["$ref", "anyOf", "oneOf", "allOf"];
const INPUTS: Readonly<Record<string, FieldKind>> = {
  date: "date",
  email: "email",
  uri: "url",
  password: "password",
  textarea: "area",
};

export type FieldKind =
  | "text"
  | "area"
  | "date"
  | "email"
  | "url"
  | "password"
  | "number"
  | "integer"
  | "checkbox"
  | "choice"
  | "json";

export interface AnswerField {
  /** The property; null for the whole answer. */
  name: string | null;
  label: string;
  hint: string;
  kind: FieldKind;
  required: boolean;
  /** Whether an empty field is null. */
  nullable: boolean;
  /** The values to choose from, as JSON. */
  options: string[];
  /** Attributes of a number's input. */
  limits: Record<string, string>;
  /** The initial value as JSON; undefined for none. */
  preset: string | undefined;
}

/** Members of a schema with the JSON text of their values. */
type Schema = Map<string, string>;

/** The fields for the answer to an approval. */
export function answerFields(approval: Approval): AnswerField[] {
  const given = jsonMembers(approval.arguments);
  const whole = approval.tool && given ? approval.arguments : undefined;
  const root = jsonMembers(approval.answer_schema ?? "");
  if (!root) return [jsonField(fieldOf(new Map(), new Map(), null), whole)];
  const schema = resolved(root, root);
  const properties = jsonMembers(schema.get("properties") ?? "");
  const field = fieldOf(root, root, null);
  if (typeOf(schema) !== "object" && !properties) {
    return [field.kind === "json" ? jsonField(field, whole) : { ...field, label: "Answer" }];
  }
  if (isComposed(schema) || !properties?.size || properties.size > MAX_FIELDS) {
    return [jsonField(field, whole)];
  }
  const required = new Set(
    jsonItems(schema.get("required") ?? "")?.map((name) => jsonString(name)),
  );
  return [...properties].map(([name, property]) => ({
    ...fieldOf(jsonMembers(property) ?? new Map(), root, name, given?.get(name)),
    required: required.has(name),
  }));
}

/** The field for a whole answer as JSON. */
function jsonField(field: AnswerField, preset = field.preset): AnswerField {
  return { ...field, kind: "json", label: "Answer (JSON)", nullable: false, preset };
}

/** The field for a schema; `given` is a value that replaces the default. */
function fieldOf(outer: Schema, root: Schema, name: string | null, given?: string): AnswerField {
  const { schema, nullable } = withoutNull(resolved(outer, root), root);
  const title = jsonString(schema.get("title"))?.trim() || name?.trim() || "Field";
  const kind = kindOf(schema, nullable);
  return fitted({
    name,
    label: shortened(title, MAX_LABEL),
    hint: shortened(jsonString(schema.get("description"))?.trim() ?? "", MAX_HINT),
    kind,
    required: true,
    nullable,
    options: kind === "choice" ? (optionsOf(schema) ?? ["true", "false"]) : [],
    limits: kind === "number" || kind === "integer" ? limitsOf(schema, kind) : {},
    preset: given ?? schema.get("default"),
  });
}

function kindOf(schema: Schema, nullable: boolean): FieldKind {
  if (isComposed(schema)) return "json";
  const options = optionsOf(schema);
  if (options) {
    const isShort = options.every((option) => option.length <= MAX_OPTION);
    return isShort && options.length > 0 && options.length <= MAX_OPTIONS ? "choice" : "json";
  }
  const type = typeOf(schema);
  switch (type) {
    case "string": {
      const format = jsonString(schema.get("format")) ?? "";
      if (Object.hasOwn(INPUTS, format)) return INPUTS[format] ?? "text";
      return Number(schema.get("maxLength")) > LINE ? "area" : "text";
    }
    case "boolean":
      return nullable ? "choice" : "checkbox";
    case "number":
    case "integer":
      return type;
    default:
      return "json";
  }
}

/** The field, or one for JSON if its control cannot have the initial value. */
function fitted(field: AnswerField): AnswerField {
  const { kind, preset, nullable, options } = field;
  if (preset === undefined || (preset === "null" && nullable)) return field;
  if (kind === "choice") {
    const chosen = options.find((option) => option === preset || isSameString(option, preset));
    if (chosen !== undefined) return { ...field, preset: chosen };
  } else if (kind === "checkbox") {
    if (preset === "true" || preset === "false") return field;
  } else if (kind === "number" || kind === "integer") {
    if (isNumber(preset)) return field;
  } else if (kind === "json" || preset.startsWith('"')) {
    return field;
  }
  return { ...field, kind: "json" };
}

function isSameString(one: string, other: string): boolean {
  return one.startsWith('"') && jsonString(one) === jsonString(other);
}

/** The schema with a local reference replaced by what it refers to. */
function resolved(schema: Schema, root: Schema): Schema {
  const [, place, name] = REFERENCE.exec(jsonString(schema.get("$ref")) ?? "") ?? [];
  if (!place || !name) return schema;
  const target = jsonMembers(jsonMembers(root.get(place) ?? "")?.get(name) ?? "");
  // One level, since references may be cyclic.
  if (!target || target.has("$ref")) return schema;
  return merged(target, schema, "$ref");
}

/** The schema without null as an alternative, and whether it was one. */
function withoutNull(schema: Schema, root: Schema): { schema: Schema; nullable: boolean } {
  const types = jsonItems(schema.get("type") ?? "");
  const type = types?.find((one) => one !== '"null"');
  if (types?.length === 2 && types.includes('"null"') && type) {
    return { schema: new Map([...schema, ["type", type]]), nullable: true };
  }
  for (const keyword of ["anyOf", "oneOf"]) {
    const choices = jsonItems(schema.get(keyword) ?? "");
    if (choices?.length !== 2) continue;
    const alternatives = choices.map((choice): Schema => jsonMembers(choice) ?? new Map());
    const inner = alternatives.find((one) => typeOf(one) !== "null");
    if (!inner || !alternatives.some((one) => typeOf(one) === "null")) continue;
    return { schema: merged(resolved(inner, root), schema, keyword), nullable: true };
  }
  return { schema, nullable: false };
}

function merged(inner: Schema, outer: Schema, keyword: string): Schema {
  const around = new Map(outer);
  around.delete(keyword);
  return new Map([...inner, ...around]);
}

function isComposed(schema: Schema): boolean {
  return COMPOSED.some((keyword) => schema.has(keyword));
}

function typeOf(schema: Schema): string | undefined {
  return jsonString(schema.get("type"));
}

function optionsOf(schema: Schema): string[] | null {
  const constant = schema.get("const");
  return constant === undefined ? jsonItems(schema.get("enum") ?? "") : [constant];
}

function limitsOf(schema: Schema, kind: "number" | "integer"): Record<string, string> {
  const limits: Record<string, string> = { step: kind === "integer" ? "1" : "any" };
  for (const [attribute, keyword] of [
    ["min", "minimum"],
    ["max", "maximum"],
  ] as const) {
    const limit = schema.get(keyword) ?? "";
    // Steps count from the minimum, so that one with a fraction would exclude whole numbers.
    const isUsable = kind === "number" || Number.isInteger(Number(limit));
    if (isNumber(limit) && isUsable) limits[attribute] = limit;
  }
  const multiple = schema.get("multipleOf") ?? "";
  if (isNumber(multiple) && Number(multiple) > 0) {
    if (Number(limits.min ?? 0) % Number(multiple) === 0) limits.step = multiple;
  }
  return limits;
}

function isNumber(text: string): boolean {
  return text.length <= MAX_NUMBER && NUMBER.test(text) && Number.isFinite(Number(text));
}

function shortened(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
