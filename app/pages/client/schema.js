/** Checks a browser tool's arguments. */

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
