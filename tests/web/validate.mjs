// Reads an AsyncAPI document from standard input; prints what its own parser says is wrong.
import { Parser } from '@asyncapi/parser';

let text = '';
for await (const part of process.stdin) text += part;
const { document, diagnostics } = await new Parser().parse(text);
const faults = diagnostics.filter(({ severity }) => severity === 0);
for (const { message, path } of faults) console.log(`${path.join('.')}: ${message}`);
console.log(document ? `${document.allMessages().all().length} messages` : 'no document');
process.exit(faults.length || !document ? 1 : 0);
