/** Writes the table of options into docs/operations/configuration.md; after `npm run build`: `node tools/configuration-page.mjs`. */
import { readFileSync, writeFileSync } from 'node:fs';

const { configTable } = await import(new URL('../dist/core/config/config-text.js', import.meta.url).href);
const page = new URL('../docs/operations/configuration.md', import.meta.url);
const text = readFileSync(page, 'utf8').replace(/\n*\| Key in [\s\S]*$/, '\n');
writeFileSync(page, `${text.trimEnd()}\n\n${configTable()}`);
