/**
 * Becomes the program with the V8 flags of its mode and the allocator's settings: the same process, so that signals and the exit code need
 * no carrying over. In JavaScript since the image has no shell.
 */
import { extname, join } from 'node:path';
import { MALLOC_SETTINGS } from './malloc-settings.ts';
import { nodeFlagsOf } from './node-flags.ts';

const args = process.argv.slice(2);
const mode = args[0] === 'self-check' ? args[1] : args[0];
const main = join(import.meta.dirname, `main${extname(import.meta.filename)}`);
if (process.execve === undefined) throw new Error('skiff runs on Linux and macOS only');
process.execve(process.execPath, [process.execPath, ...nodeFlagsOf(mode), main, ...args], { ...MALLOC_SETTINGS, ...process.env });
