// Node clients against a running server: node driver.mjs HOST PORT FOLDER
//
// node-redis over RESP2 and RESP3, and ioredis; FOLDER is where they are installed. Prints one
// line per client that passed and ends with exit code 1 at the first check that did not.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';

const [host, port, folder] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(folder), 'node_modules', 'x.js'));
const nodeRedis = require('redis');
const ioredis = require('ioredis');
const Redis = ioredis.Redis ?? ioredis.default ?? ioredis;

const TEXT = 'ä\r\n\0 $-1\r\n'.repeat(10);
const BINARY = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
const PIPELINE = 10_000;

async function nodeRedisClient(RESP) {
  const client = nodeRedis.createClient({ RESP, socket: { host, port: Number(port) } });
  client.on('error', (error) => {
    throw error;
  });
  await client.connect();
  await client.flushAll();
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('k', TEXT), 'OK');
  assert.equal(await client.get('k'), TEXT);
  assert.equal(await client.get('nope'), null);
  assert.equal(await client.setNX('fresh', '1'), 1);
  assert.equal(await client.setNX('fresh', '2'), 0);
  await client.mSet({ a: '1', b: 'two' });
  assert.deepEqual(await client.mGet(['a', 'nope', 'b']), ['1', null, 'two']);
  assert.equal(await client.incrBy('a', 41), 42);
  assert.equal(await client.decr('a'), 41);
  assert.equal(await client.append('b', '!'), 4);
  assert.equal(await client.strLen('b'), 4);
  assert.equal(await client.exists(['a', 'b', 'nope']), 2);
  assert.equal(await client.del(['a', 'b']), 2);
  assert.equal(await client.dbSize(), 2);
  const large = 'x'.repeat(5_000_000);
  await client.set('large', large);
  assert.equal(await client.get('large'), large);
  // Sent together, they are one pipeline.
  const replies = await Promise.all(
    Array.from({ length: PIPELINE }, () => client.incr('counter')),
  );
  assert.deepEqual(replies, Array.from({ length: PIPELINE }, (_, index) => index + 1));
  const results = await client.multi().set('account', '100').incrBy('account', 10).exec();
  assert.deepEqual(results, ['OK', 110]);
  await client.watch('account');
  await client.incr('account');
  await assert.rejects(client.multi().set('account', '0').exec(), nodeRedis.WatchError);
  assert.equal(await client.get('account'), '111');
  await assert.rejects(client.incr('k'), /value is not an integer or out of range/);
  client.destroy();
}

async function ioredisClient() {
  const client = new Redis({ host, port: Number(port) });
  await client.flushall();
  assert.equal(await client.set('k', BINARY), 'OK');
  assert.deepEqual(await client.getBuffer('k'), BINARY);
  assert.equal(await client.get('nope'), null);
  await client.mset('a', '1', 'b', TEXT);
  assert.deepEqual(await client.mget('a', 'nope', 'b'), ['1', null, TEXT]);
  assert.equal(await client.incrby('a', 41), 42);
  assert.equal(await client.exists('a', 'b', 'nope'), 2);
  assert.equal(await client.unlink('a', 'b'), 2);
  assert.match(await client.info(), /redis_version:/);
  const pipeline = client.pipeline();
  for (let index = 0; index < PIPELINE; index += 1) {
    pipeline.incr('counter');
  }
  const replies = await pipeline.exec();
  assert.deepEqual(replies.at(-1), [null, PIPELINE]);
  assert.deepEqual(await client.multi().set('account', '100').incrby('account', 10).exec(), [
    [null, 'OK'],
    [null, 110],
  ]);
  await client.watch('account');
  await client.incr('account');
  assert.equal(await client.multi().set('account', '0').exec(), null);
  assert.equal(await client.get('account'), '111');
  await assert.rejects(client.incr('k'), /value is not an integer or out of range/);
  const other = new Redis({ host, port: Number(port), db: 5 });
  assert.equal(await other.dbsize(), 0);
  other.disconnect();
  client.disconnect();
}

for (const RESP of [2, 3]) {
  await nodeRedisClient(RESP);
  console.log(`node-redis, RESP${RESP}: ok`);
}
await ioredisClient();
console.log('ioredis: ok');
