// ioredis against a running server: node ioredis.mjs HOST PORT FOLDER
//
// FOLDER is where it is installed. Ends with exit code 1 at the first check that fails.

import assert from 'node:assert/strict';
import { once } from 'node:events';

import { BINARY, PIPELINE, TEXT, host, load, port, versionOf, waitUntil } from './checks.mjs';

const ioredis = load('ioredis');
const Redis = ioredis.Redis ?? ioredis.default ?? ioredis;

async function strings(client) {
  assert.equal(await client.set('k', BINARY), 'OK');
  assert.deepEqual(await client.getBuffer('k'), BINARY);
  assert.equal(await client.get('nope'), null);
  await client.mset('a', '1', 'b', TEXT);
  assert.deepEqual(await client.mget('a', 'nope', 'b'), ['1', null, TEXT]);
  assert.equal(await client.incrby('a', 41), 42);
  assert.equal(await client.exists('a', 'b', 'nope'), 2);
  assert.equal(await client.unlink('a', 'b'), 2);
  assert.match(await client.info(), /redis_version:/);
  const found = [];
  for await (const keys of client.scanStream({ match: 'k*' })) {
    found.push(...keys);
  }
  assert.deepEqual(found, ['k']);
  await assert.rejects(client.incr('k'), /value is not an integer or out of range/);
}

async function counters(client) {
  const pipeline = client.pipeline();
  for (let index = 0; index < PIPELINE; index += 1) {
    pipeline.incr('counter');
  }
  const replies = await pipeline.exec();
  assert.deepEqual(replies.at(-1), [null, PIPELINE]);
  assert.equal(await client.decrby('counter', PIPELINE - 1), 1);
  assert.equal(Number(await client.incrbyfloat('counter', 0.5)), 1.5);
}

async function deadlines(client) {
  await client.set('k', 'v', 'EX', 100);
  assert.ok((await client.ttl('k')) > 90);
  assert.equal(await client.persist('k'), 1);
  assert.equal(await client.ttl('k'), -1);
  assert.equal(await client.set('k', 'w', 'PX', 20, 'NX'), null);
  await client.pexpire('k', 20);
  await waitUntil('it expires', async () => (await client.get('k')) === null);
  assert.equal(await client.set('k', 'w', 'PX', 60_000, 'NX'), 'OK');
}

async function transactions(client) {
  assert.deepEqual(await client.multi().set('account', '100').incrby('account', 10).exec(), [
    [null, 'OK'],
    [null, 110],
  ]);
  await client.watch('account');
  await client.incr('account');
  assert.equal(await client.multi().set('account', '0').exec(), null);
  assert.equal(await client.get('account'), '111');
}

async function pubSub(client) {
  const listener = new Redis({ host, port: Number(port) });
  assert.equal(await listener.subscribe('news', 'weather'), 2);
  assert.equal(await listener.psubscribe('n*'), 3);
  const received = [];
  listener.on('message', (channel, message) => received.push([channel, message]));
  listener.on('pmessage', (pattern, channel, message) => {
    received.push([channel, message, pattern]);
  });
  assert.equal(await client.publish('news', TEXT), 2);
  await waitUntil('both are received', () => received.length === 2);
  assert.deepEqual(received, [['news', TEXT], ['news', TEXT, 'n*']]);
  assert.deepEqual(await client.pubsub('NUMSUB', 'news', 'nope'), ['news', 1, 'nope', 0]);
  assert.deepEqual((await client.pubsub('CHANNELS')).sort(), ['news', 'weather']);
  // Many messages arrive whole and in order.
  received.length = 0;
  const sent = client.pipeline();
  for (let index = 0; index < PIPELINE; index += 1) {
    sent.publish('weather', String(index));
  }
  await sent.exec();
  await waitUntil('all are received', () => received.length === PIPELINE);
  assert.ok(received.every(([, message], index) => message === String(index)));
  await listener.unsubscribe('news', 'weather');
  await listener.punsubscribe('n*');
  assert.equal(await client.publish('news', 'x'), 0);
  listener.disconnect();
}

async function reconnection(client) {
  const other = new Redis({ host, port: Number(port), db: 5, connectionName: 'other' });
  assert.equal(await other.dbsize(), 0);
  await other.set('k', 'five');
  // Killed by another, it comes back by itself, in its database and with its name.
  const ready = once(other, 'ready');
  other.on('error', () => {});
  const id = await other.client('ID');
  assert.equal(await client.client('KILL', 'ID', id), 1);
  await ready;
  assert.equal(await other.get('k'), 'five');
  assert.equal(await other.client('GETNAME'), 'other');
  assert.notEqual(await other.client('ID'), id);
  other.disconnect();
}

async function monitor(client) {
  const watcher = await client.monitor();
  const seen = [];
  watcher.on('monitor', (time, command, source, database) => seen.push([command, database]));
  await client.set('k', 'v');
  await waitUntil('it is seen', () => seen.length > 0);
  assert.deepEqual(seen[0], [['set', 'k', 'v'], '0']);
  watcher.disconnect();
}

const client = new Redis({ host, port: Number(port) });
for (const topic of [
  strings, counters, deadlines, transactions, pubSub, reconnection, monitor,
]) {
  await client.flushall();
  await topic(client);
}
client.disconnect();
console.log(`ioredis ${versionOf('ioredis')}: ok`);
