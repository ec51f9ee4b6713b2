/** Reads and checks a browser tool's arguments. */

/**
 * A tool's arguments as its schema means them, as the gateway reads those of other tools: models also
 * give one JSON string, or nothing, and null for what is optional and cannot be null.
 */
export function argumentsOf(given, schema) {
  const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
  let args = given ?? {};
  if (typeof args === 'string' && schema?.type !== 'string') {
    try {
      const parsed = args.trim() ? JSON.parse(args) ?? {} : {};
      if (isObject(parsed)) args = parsed;
    } catch {
      // No JSON: the schema or the tool says what is wrong with it.
    }
  }
  if (!isObject(args)) return args;
  const leftOut = ([key, value]) => {
    const rule = schema?.properties?.[key];
    return value === null && !schema.required?.includes(key) && isObject(rule)
      && (rule.type || rule.enum) && ![].concat(rule.type ?? []).includes('null') && !rule.enum?.includes(null);
  };
  return Object.fromEntries(Object.entries(args).filter((entry) => !leftOut(entry)));
}

/** What is wrong with a tool's arguments (type, required, enum), or null. */
export function misfit(args, schema) {
  const missing = (schema.required ?? []).filter((key) => args?.[key] === undefined);
  if (missing.length) return `Missing: ${missing.join(', ')}.`;
  for (const [key, rule] of Object.entries(schema.properties ?? {})) {
    const value = args?.[key];
    if (value === undefined) continue;
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    const fits = (wanted) => wanted === type || (wanted === 'integer' && Number.isInteger(value));
    if (rule.type && ![].concat(rule.type).some(fits)) return `${key} must be of type ${[].concat(rule.type).join(' or ')}.`;
    if (rule.enum && !rule.enum.includes(value)) return `${key} must be one of ${rule.enum.join(', ')}.`;
  }
  return null;
}
