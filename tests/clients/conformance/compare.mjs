// Compares the results of the conformance tool with the list of expected failures. A failure that is not in the list
// is an error, and so is an entry that does not fail.
//
// Arguments: the directory of the results, and the list of expected failures.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [results, list] = process.argv.slice(2);

// Scenarios with their checks: a scenario ends with a colon, a check starts with a dash.
const leftOut = new Set();
let scenario;
for (const line of readFileSync(list, 'utf8').split('\n')) {
  const text = line.replace(/(^|\s)#.*/, '').trim();
  if (text.endsWith(':')) scenario = text.slice(0, -1);
  else if (text.startsWith('- ')) leftOut.add(`${scenario} ${text.slice(2)}`);
}

const good = new Set(['SUCCESS', 'INFO', 'SKIPPED']);
const failed = new Map();
let passed = 0;
for (const directory of readdirSync(results)) {
  const scenario = directory.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
  for (const check of JSON.parse(readFileSync(join(results, directory, 'checks.json'), 'utf8'))) {
    if (check.status === 'SUCCESS') passed += 1;
    if (!good.has(check.status)) failed.set(`${scenario} ${check.id}`, check.errorMessage ?? check.status);
  }
}

const unexpected = [...failed].filter(([check]) => !leftOut.has(check));
const outdated = [...leftOut].filter(check => !failed.has(check));
for (const [check, why] of unexpected) console.error(`conformance: ${check} fails: ${why}`);
for (const check of outdated) console.error(`conformance: ${check} is an expected failure and does not fail`);
// Minimum number of passed checks; with fewer, the tool did not run.
const fewest = 100;
if (passed < fewest) console.error(`conformance: only ${passed} checks passed`);
console.log(`conformance: ${passed} checks passed, ${failed.size} failed as expected`);
process.exit(unexpected.length || outdated.length || passed < fewest ? 1 : 0);
