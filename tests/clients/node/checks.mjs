// What the drivers share: where the libraries are, sample values, waiting.

import { createRequire } from 'node:module';
import path from 'node:path';

const PATIENCE_MS = 60_000;

export const [host, port, folder] = process.argv.slice(2);

/** Loads a library from the folder where the libraries are installed. */
export const load = createRequire(path.join(path.resolve(folder), 'node_modules', 'x.js'));

/** The version that is installed. */
export function versionOf(name) {
  return load(path.join(path.resolve(folder), 'node_modules', name, 'package.json')).version;
}

export const TEXT = 'ä\r\n\0 $-1\r\n'.repeat(10);
export const BINARY = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
export const PIPELINE = 10_000;

/** Waits until the condition gives something true, and returns that. */
export async function waitUntil(what, condition) {
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end) {
    const result = await condition();
    if (result) {
      return result;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain: ${what}`);
}
