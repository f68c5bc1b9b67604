// Validation of messages, field by field.

export type Guard<T> = (value: unknown) => value is T;
export type Fields<T> = { [K in keyof Required<T>]: Guard<Required<T>[K]> };

export const isString = (v: unknown): v is string => typeof v === "string";
export const isBoolean = (v: unknown): v is boolean => typeof v === "boolean";
export const isNumber = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);
export const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

export const isObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === "object" && v !== null && !Array.isArray(v);

export const oneOf =
  <T extends string>(...values: T[]): Guard<T> =>
  (v): v is T =>
    (values as unknown[]).includes(v);

export const orNull =
  <T>(guard: Guard<T>): Guard<T | null> =>
  (v): v is T | null =>
    v === null || guard(v);

/** Guard for an optional field. */
export const optional = <T>(guard: Guard<T>): Guard<T> =>
  ((v) => v === undefined || guard(v)) as Guard<T>;

export const listOf =
  <T>(guard: Guard<T>): Guard<T[]> =>
  (v): v is T[] =>
    Array.isArray(v) && v.every(guard);

/** Guard for an object with all these fields; further ones are ignored. */
export const allOf =
  <T>(fields: Fields<T>): Guard<T> =>
  (v): v is T => {
    if (!isObject(v)) return false;
    for (const name in fields) if (!fields[name](v[name])) return false;
    return true;
  };

/** Guard for an object with some of these fields, and no other. */
export const someOf =
  <T>(fields: Fields<T>): Guard<Partial<T>> =>
  (v): v is Partial<T> =>
    isObject(v) &&
    Object.entries(v).every(
      ([name, value]) => Object.hasOwn(fields, name) && fields[name as keyof T](value),
    );
