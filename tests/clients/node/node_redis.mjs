// node-redis against a running server, over RESP2 and RESP3: node node_redis.mjs HOST PORT FOLDER
//
// FOLDER is where it is installed. Ends with exit code 1 at the first check that fails.

import assert from 'node:assert/strict';

import { BINARY, PIPELINE, TEXT, host, load, port, versionOf, waitUntil } from './checks.mjs';

const { RESP_TYPES, WatchError, createClient } = load('redis');

async function strings(client) {
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('k', TEXT), 'OK');
  assert.equal(await client.get('k'), TEXT);
  const buffers = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  await client.set('binary', BINARY);
  assert.deepEqual(await buffers.get('binary'), BINARY);
  assert.equal(await client.get('nope'), null);
  assert.equal(await client.setNX('fresh', '1'), 1);
  assert.equal(await client.setNX('fresh', '2'), 0);
  await client.mSet({ a: '1', b: 'two' });
  assert.deepEqual(await client.mGet(['a', 'nope', 'b']), ['1', null, 'two']);
  assert.equal(await client.append('b', '!'), 4);
  assert.equal(await client.strLen('b'), 4);
  assert.equal(await client.getRange('b', 0, 1), 'tw');
  assert.equal(await client.exists(['a', 'b', 'nope']), 2);
  assert.equal(await client.del(['a', 'b']), 2);
  assert.equal(await client.dbSize(), 3);
  const large = 'x'.repeat(5_000_000);
  await client.set('large', large);
  assert.equal(await client.get('large'), large);
  const found = [];
  for await (const keys of client.scanIterator({ MATCH: '*' })) {
    found.push(...keys);
  }
  assert.deepEqual(found.sort(), ['binary', 'fresh', 'k', 'large']);
  await assert.rejects(client.incr('k'), /value is not an integer or out of range/);
}

async function counters(client) {
  assert.equal(await client.incrBy('a', 41), 41);
  assert.equal(await client.decr('a'), 40);
  assert.equal(Number(await client.incrByFloat('a', 0.5)), 40.5);
  // Sent together, they are one pipeline.
  const sent = Array.from({ length: PIPELINE }, () => client.incr('counter'));
  const replies = await Promise.all(sent);
  assert.deepEqual(replies, Array.from({ length: PIPELINE }, (_, index) => index + 1));
}

async function deadlines(client) {
  await client.set('k', 'v', { expiration: { type: 'EX', value: 100 } });
  assert.ok((await client.ttl('k')) > 90);
  assert.ok((await client.pTTL('k')) > 90_000);
  assert.equal(await client.expire('k', 50, 'GT'), 0);
  assert.equal(await client.persist('k'), 1);
  assert.equal(await client.ttl('k'), -1);
  assert.equal(await client.ttl('nope'), -2);
  await client.pExpire('k', 20);
  await waitUntil('it expires', async () => (await client.get('k')) === null);
}

async function transactions(client) {
  const results = await client.multi().set('account', '100').incrBy('account', 10).exec();
  assert.deepEqual(results, ['OK', 110]);
  await client.watch('account');
  await client.incr('account');
  await assert.rejects(client.multi().set('account', '0').exec(), WatchError);
  assert.equal(await client.get('account'), '111');
}

async function pubSub(client) {
  const listener = await connect(client.options.RESP);
  const received = [];
  await listener.subscribe('news', (message, channel) => received.push([channel, message]));
  await listener.pSubscribe('n*', (message, channel) => received.push([channel, message, 'n*']));
  await listener.subscribe('raw', (message) => received.push(message), true);
  assert.equal(await client.publish('news', TEXT), 2);
  assert.equal(await client.publish('raw', BINARY), 1);
  assert.equal(await client.publish('nowhere', 'x'), 1);
  await waitUntil('all are received', () => received.length === 4);
  assert.deepEqual(received, [
    ['news', TEXT], ['news', TEXT, 'n*'], BINARY, ['nowhere', 'x', 'n*'],
  ]);
  const counts = await client.pubSubNumSub(['news', 'nope']);
  assert.deepEqual({ ...counts }, { news: 1, nope: 0 });
  assert.equal(await client.pubSubNumPat(), 1);
  await listener.unsubscribe('news');
  await listener.pUnsubscribe();
  assert.equal(await client.publish('news', 'x'), 0);
  listener.destroy();
}

async function administration(client) {
  assert.deepEqual({ ...(await client.configGet('databases')) }, { databases: '16' });
  assert.equal(await client.configSet('slowlog-log-slower-than', '20000'), 'OK');
  assert.equal(await client.clientSetName('me'), 'OK');
  assert.equal(await client.clientGetName(), 'me');
  const own = await client.clientId();
  const information = await client.clientInfo();
  assert.deepEqual([information.id, information.name, information.user], [own, 'me', 'default']);
  assert.ok((await client.clientList()).some((line) => line.id === own));
  assert.match(await client.info('server'), /redis_version:7/);
  assert.ok((await client.commandCount()) > 80);
  const [details] = await client.commandInfo(['get']);
  assert.deepEqual([details.name, details.arity], ['get', 2]);
  assert.equal((await client.role()).role, 'master');
}

async function connect(RESP) {
  const client = createClient({ RESP, socket: { host, port: Number(port) } });
  client.on('error', (error) => {
    throw error;
  });
  return client.connect();
}

for (const RESP of [2, 3]) {
  const client = await connect(RESP);
  for (const topic of [strings, counters, deadlines, transactions, pubSub, administration]) {
    await client.flushAll();
    await topic(client);
  }
  client.destroy();
  console.log(`node-redis ${versionOf('redis')}, RESP${RESP}: ok`);
}
