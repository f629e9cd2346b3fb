// The emulated Mintro API and the control API, as any client sees them over HTTP.
import { connect } from 'node:net';
import { createServer } from 'node:http';
import { equal, eventually, ok, test } from './harness.mjs';

const who = { 'X-Client-ID': 'mintro_test_client', 'X-Client-Secret': 'mintro_test_secret' };

async function call(sandbox, method, path, body, headers = {}) {
  const answer = await fetch(sandbox + path, {
    method, headers: { 'Content-Type': 'application/json', ...headers },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await answer.text();
  let json;
  try { json = JSON.parse(text); } catch { json = text; }
  return { status: answer.status, headers: answer.headers, body: json };
}

const order = (mintro, more) => ({
  amount: 80, currency: 'USD', intent_type: 'recurring', interval_days: 30, email: 'customer@example.com', name: 'John Doe',
  reference_id: mintro.reference(), customer_ref_id: 'CUST-001', integration_type: 'iframe',
  success_url: 'https://example.com/success', cancel_url: 'https://example.com/cancel',
  metadata: { internal_id: '999' }, order_items: [{ name: 'Product 1', quantity: 1, price: 50.00 }], ...more,
});

test('api: an intent is created, read by id and by reference, as documented', async ({ sandbox, mintro }) => {
  const body = order(mintro, { tax: 10, discount: '5.00', unknown_field: [1] });
  const made = await call(sandbox, 'POST', '/api/platform/intents', body, who);
  equal(made.status, 200, 'status');
  equal(Object.keys(made.body).sort(), ['data', 'success'], 'envelope');
  equal(Object.keys(made.body.data).sort(), ['amount', 'intent_id', 'payment_url', 'status'], 'fields');
  equal([made.body.data.amount, made.body.data.status], ['80.00', 'requires_payment'], 'amount and status');
  const id = made.body.data.intent_id;
  ok(/^pi_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id), `id ${id}`);
  for (const path of [`/api/platform/intents/${id}`, `/api/platform/intents/${id.slice(3)}`,
    `/api/platform/intents/reference/${body.reference_id}`]) {
    const read = await call(sandbox, 'GET', path, undefined, who);
    equal(read.status, 200, path);
    const { expires_at, payment_url, ...rest } = read.body.data;
    equal(payment_url, made.body.data.payment_url, 'payment_url');
    ok(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(expires_at), `expires_at ${expires_at}`);
    equal(Object.entries(rest).sort(), Object.entries({
      intent_id: id, reference_id: body.reference_id, amount: '80.00', currency: 'USD', status: 'requires_payment',
      type: 'recurring', interval_days: 30, tax: '10.00', discount: '5.00',
      order_items: [{ name: 'Product 1', price: '50.00', quantity: 1 }],
    }).sort(), path);
  }
  const plain = await call(sandbox, 'POST', '/api/platform/intents', order(mintro, { intent_type: 'one_time', interval_days: undefined }), who);
  const read = await call(sandbox, 'GET', `/api/platform/intents/${plain.body.data.intent_id}`, undefined, who);
  equal([read.body.data.tax, read.body.data.discount, read.body.data.interval_days], ['0.00', '0.00', null], 'defaults');
});

test('api: errors have their documented shapes', async ({ sandbox, mintro }) => {
  const refused = (message) => ({ success: false, message, data: [] });
  const sorted = (o) => Object.fromEntries(Object.entries(o).sort());
  const check = async (method, path, body, headers, status, wanted) => {
    const answer = await call(sandbox, method, path, body, headers);
    equal(answer.status, status, `${method} ${path}`);
    if (wanted) equal(sorted(answer.body), sorted(wanted), `${method} ${path}`);
    return answer.body;
  };
  const intents = '/api/platform/intents';
  await check('POST', intents, order(mintro), {}, 401, refused('Invalid API Key provided.'));
  await check('POST', intents, order(mintro), { ...who, 'X-Client-Secret': 'wrong' }, 401);
  const readonly = { ...who, 'X-Client-ID': 'mintro_test_readonly' };
  await check('POST', intents, order(mintro), readonly, 403, refused("The API key doesn't have permissions to perform the request."));
  await check('GET', `${intents}/pi_00000000-0000-4000-8000-000000000000`, undefined, readonly, 404);
  await check('GET', `${intents}/reference/nobody`, undefined, who, 404);
  await check('POST', '/api/platform/subscriptions/sub_x/cancel', undefined, who, 404);
  await check('GET', '/api/platform/nothing', undefined, who, 404);
  for (const body of ['{"amount":', '[1]', '3', 'nonsense']) await check('POST', intents, body, who, 400);
  const empty = await check('POST', intents, '', who, 422);
  equal(empty.message, 'The given data was invalid.', 'message');
  equal(Object.keys(empty.errors).sort(), ['amount', 'currency', 'email', 'integration_type', 'intent_type', 'name',
    'order_items', 'reference_id'], 'required fields');
  equal(empty.errors.email, ['The email field is required.'], 'text');

  const wrong = {
    amount: [[0.99, 'The amount must be at least 1.'], ['x', 'The amount must be a number.'], [80.001], ['1e3'], [1e15], [-5], [null], [true]],
    currency: [['US'], ['ZZZ'], [840], ['']],
    intent_type: [['monthly', 'The selected intent type is invalid.']],
    interval_days: [[0, 'The interval days must be at least 1.'], [1.5], ['x'], [undefined, 'The interval days field is required when intent type is recurring.']],
    email: [['nobody', 'The email must be a valid email address.'], ['a b@example.com'], ['a@b'], [5]],
    name: [[' '], [['x']], ['x'.repeat(256)]],
    reference_id: [['a b', 'The reference id format is invalid.'], ['x'.repeat(101)], [12], ['é']],
    customer_ref_id: [['x'.repeat(101), 'The customer ref id must not be greater than 100 characters.']],
    order_items: [[[]], ['x'], [{ name: 'x' }]],
    integration_type: [['popup']],
    success_url: [['ftp://example.com'], ['javascript:alert(1)'], ['https://'], ['https://e x']],
    tax: [[-1, 'The tax must be at least 0.'], ['abc'], [0.001]],
    discount: [['1,5']],
    metadata: [['x']],
  };
  for (const [field, values] of Object.entries(wrong)) {
    for (const [value, text] of values) {
      const answer = await check('POST', intents, order(mintro, { [field]: value }), who, 422);
      equal(Object.keys(answer.errors), [field], `${field} = ${JSON.stringify(value)}`);
      if (text) equal(answer.errors[field], [text], `${field} = ${JSON.stringify(value)}`);
    }
  }
  const items = await check('POST', intents, order(mintro, { order_items: [{ name: '', quantity: 0, price: 'x' }, 5] }), who, 422);
  equal(Object.keys(items.errors).sort(), ['order_items.0.name', 'order_items.0.price', 'order_items.0.quantity', 'order_items.1'], 'items');
  const url = await check('POST', intents, order(mintro, { integration_type: 'url', success_url: '', cancel_url: undefined }), who, 422);
  equal(url.errors.success_url, ['The success url field is required when integration type is url.'], 'success_url');
  ok(url.errors.cancel_url, 'cancel_url');
  const twice = order(mintro);
  await check('POST', intents, twice, who, 200);
  equal((await check('POST', intents, twice, who, 422)).errors.reference_id, ['The reference id has already been taken.'], 'unique');
});

test('api: amounts stay exact', async ({ sandbox, mintro }) => {
  for (const [given, wanted] of [['80', '80.00'], ['80.1', '80.10'], ['"80.10"', '80.10'], ['1', '1.00'], ['1.07', '1.07'],
    ['4.35', '4.35'], ['999999999999.99', '999999999999.99'], ['0.8e2', '80.00'], ['8.07e1', '80.70']]) {
    const body = JSON.stringify(order(mintro)).replace('"amount":80', `"amount":${given}`);
    const made = await call(sandbox, 'POST', '/api/platform/intents', body, who);
    equal(made.body.data?.amount, wanted, given);
  }
});

test('api: an idempotency key makes one intent, however often and however concurrently', async ({ sandbox, mintro }) => {
  const body = order(mintro);
  const key = `key-${body.reference_id}`;
  const answers = await Promise.all(Array.from({ length: 30 }, () => call(sandbox, 'POST', '/api/platform/intents', body, { ...who, 'Idempotency-Key': key })));
  equal([...new Set(answers.map((a) => a.status))], [200], 'statuses');
  equal(new Set(answers.map((a) => a.body.data.intent_id)).size, 1, 'intents');
  equal(answers.filter((a) => a.headers.get('idempotent-replayed') === 'true').length, 29, 'replays');
  const quoted = await call(sandbox, 'POST', '/api/platform/intents', body, { ...who, 'Idempotency-Key': `"${key}"` });
  equal(quoted.headers.get('idempotent-replayed'), 'true', 'quoted');
  const other = await call(sandbox, 'POST', '/api/platform/intents', { ...body, amount: 81 }, { ...who, 'Idempotency-Key': key });
  equal(other.status, 422, 'another body');

  // What was refused is not kept: the key is still good.
  const later = order(mintro);
  const again = { ...who, 'Idempotency-Key': `key-${later.reference_id}` };
  equal((await call(sandbox, 'POST', '/api/platform/intents', { ...later, amount: 0 }, again)).status, 422, 'refused');
  const made = await call(sandbox, 'POST', '/api/platform/intents', later, again);
  equal([made.status, made.headers.get('idempotent-replayed')], [200, null], 'made');

  const path = `/api/platform/intents/${made.body.data.intent_id}/cancel`;
  const cancelled = await call(sandbox, 'POST', path, undefined, { ...who, 'Idempotency-Key': 'c' + key });
  equal(cancelled.body.data, { intent_id: made.body.data.intent_id, status: 'cancelled' }, 'cancelled');
  equal((await call(sandbox, 'POST', path, undefined, { ...who, 'Idempotency-Key': 'c' + key })).status, 200, 'replayed');
  equal((await call(sandbox, 'POST', path, undefined, who)).status, 400, 'once more');
});

async function receiver(answer) {
  const got = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      got.push(JSON.parse(body));
      response.statusCode = answer(got.length);
      response.end();
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}/hook`, got, stop: () => server.close() };
}

// Sends Mintro's webhooks to a receiver for the length of body.
async function listening(sandbox, answer, body) {
  const before = (await call(sandbox, 'GET', '/_sandbox/endpoints')).body;
  const hook = await receiver(answer);
  try {
    equal((await call(sandbox, 'PUT', '/_sandbox/endpoints', { mintro: hook.url })).status, 204, 'endpoints');
    await body(hook);
  } finally {
    await call(sandbox, 'PUT', '/_sandbox/endpoints', { mintro: before.mintro ?? null });
    hook.stop();
  }
}

const pay = (sandbox, body) => call(sandbox, 'POST', '/_sandbox/pay', body);

test('api: a subscription renews, fails, is retried three times and ends; every webhook is sent', async ({ sandbox, mintro }) => {
  await listening(sandbox, () => 200, async (hook) => {
    const start = async (card) => {
      const made = (await call(sandbox, 'POST', '/api/platform/intents', order(mintro), who)).body.data;
      equal((await pay(sandbox, { intent_id: made.intent_id, card })).body, { status: 'succeeded' }, 'paid');
      return made.intent_id;
    };
    const of = (id) => hook.got.filter((event) => event.data.intent_id === id);
    const good = await start('4242424242424242');
    const bad = await start('4000000000000341');
    await eventually('first webhooks', () => of(good).length === 2 && of(bad).length === 2);
    equal(of(good).map((e) => e.event).sort(), ['payment.succeeded', 'subscription.created'], 'first');
    equal(of(good)[0].data.metadata, { internal_id: '999' }, 'metadata');
    equal(typeof of(good).find((e) => e.event === 'payment.succeeded').data.charge_id, 'number', 'charge_id');

    await mintro.advance('61d');
    await eventually('renewals', () => of(good).length === 4 && of(bad).length === 6);
    equal(of(good).slice(2).map((e) => e.event), ['subscription.renewed', 'subscription.renewed'], 'renewed');
    equal(of(bad).slice(2).map((e) => e.event), Array(4).fill('subscription.failed'), 'failed');
    ok(of(bad)[5].data.message.includes('ended'), 'the last one says so');

    const sub = of(good)[3].data.subscription_id;
    const cancelled = await call(sandbox, 'POST', `/api/platform/subscriptions/${sub}/cancel`, undefined, who);
    equal(cancelled.body, { success: true, data: { subscription_id: sub, status: 'cancelled' } }, 'cancelled');
    equal((await call(sandbox, 'POST', `/api/platform/subscriptions/${sub}/cancel`, undefined, who)).status, 400, 'twice');
    await eventually('subscription.canceled', () => of(good).at(-1).event === 'subscription.canceled');
    await mintro.advance('40d');
    equal([of(good).length, of(bad).length], [5, 6], 'nothing after the end');
    const charges = (await call(sandbox, 'GET', '/_sandbox/ledger?provider=mintro')).body.data.filter((c) => c.object_id === sub);
    equal(charges.map((c) => [c.period, c.amount]), [[2, '80.00'], [3, '80.00']], 'ledger');
  });
});

test('api: cancelling sends payment.canceled; a webhook that fails is retried after 1, 5, 30 minutes', async ({ sandbox, mintro }) => {
  await listening(sandbox, (n) => (n < 4 ? 500 : 200), async (hook) => {
    const made = (await call(sandbox, 'POST', '/api/platform/intents', order(mintro), who)).body.data;
    await call(sandbox, 'POST', `/api/platform/intents/${made.intent_id}/cancel`, undefined, who);
    await eventually('the first attempt', () => hook.got.length === 1);
    equal([hook.got[0].event, typeof hook.got[0].data.message], ['payment.canceled', 'string'], 'event');
    for (const [by, attempts] of [['1m', 2], ['5m', 3], ['30m', 4], ['3d', 4]]) {
      await mintro.advance(by);
      await eventually(`attempt ${attempts}`, () => hook.got.length >= attempts);
      equal(hook.got.length, attempts, `attempts after ${by}`);
    }
    equal(new Set(hook.got.map((e) => JSON.stringify(e))).size, 1, 'the same bytes');
    const mine = (await call(sandbox, 'GET', '/_sandbox/webhooks?provider=mintro')).body.data
      .find((e) => e.body.data.intent_id === made.intent_id);
    equal([mine.state, mine.attempts], ['delivered', 4], 'delivery');
  });
});

// What a raw connection gets for a request: the bytes until it closes, or the error that ended it.
function raw(sandbox, path, body, fault) {
  const { hostname, port, host } = new URL(sandbox);
  return new Promise((done) => {
    const socket = connect(Number(port), hostname);
    let bytes = '';
    let error = null;
    socket.on('data', (part) => { bytes += part; });
    socket.on('error', (e) => { error = e.code; });
    socket.on('close', () => done({ bytes, error }));
    socket.write([`POST ${path} HTTP/1.1`, `Host: ${host}`, ...Object.entries(who).map(([k, v]) => `${k}: ${v}`),
      'Content-Type: application/json', `X-Sandbox-Fault: ${fault}`, 'Connection: close',
      `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n'));
  });
}

test('faults: lost answers are processed, refused ones are not, and each is counted', async ({ sandbox, mintro }) => {
  const exists = async (reference) =>
    (await call(sandbox, 'GET', `/api/platform/intents/reference/${reference}`, undefined, who)).status === 200;
  const send = async (fault) => {
    const body = order(mintro);
    return { ...await raw(sandbox, '/api/platform/intents', JSON.stringify(body), fault), reference: body.reference_id };
  };
  const dropped = await send('drop_response');
  equal([dropped.bytes, await exists(dropped.reference)], ['', true], 'drop_response');
  const reset = await send('reset');
  equal([reset.bytes, reset.error, await exists(reset.reference)], ['', 'ECONNRESET', false], 'reset');
  for (const name of ['truncate', 'cut']) {
    const cut = await send(name);
    const [head, rest] = cut.bytes.split('\r\n\r\n');
    const length = Number(/content-length: (\d+)/i.exec(head)[1]);
    ok(rest.length > 0 && rest.length < length, `${name}: ${rest.length} of ${length} bytes`);
    equal(await exists(cut.reference), true, name);
  }
  const malformed = await send('malformed');
  ok(malformed.bytes.startsWith('HTTP/1.1 200'), 'malformed');
  let parsed = true;
  try { JSON.parse(malformed.bytes.split('\r\n\r\n')[1]); } catch { parsed = false; }
  equal([parsed, await exists(malformed.reference)], [false, true], 'malformed');
  for (const [fault, status] of [['error=500', 500], ['status=503', 503], ['429', 429], ['error=403', 403], ['error=422', 422]]) {
    const answer = await send(fault);
    equal([Number(answer.bytes.slice(9, 12)), await exists(answer.reference)], [status, false], fault);
  }
  equal((await send('nonsense')).bytes.slice(9, 12), '400', 'an unknown fault');
  const before = Date.now();
  ok((await send('slow=300')).bytes.startsWith('HTTP/1.1 200') && Date.now() - before >= 300, 'slow');

  const armed = await call(sandbox, 'POST', '/_sandbox/faults', { match: { provider: 'mintro', operation: 'intents.create' }, fault: 'error=500', times: 2 });
  equal([armed.status, armed.body.times, armed.body.consumed], [201, 2, 0], 'armed');
  const statuses = [];
  for (let i = 0; i < 3; i++) statuses.push((await call(sandbox, 'POST', '/api/platform/intents', order(mintro), who)).status);
  equal(statuses, [500, 500, 200], 'twice');
  const shown = (await call(sandbox, 'GET', '/_sandbox/faults')).body.data.find((f) => f.id === armed.body.id);
  equal([shown.consumed, shown.match.operation], [2, 'intents.create'], 'consumed');
  for (const wrong of [{}, { fault: 'nonsense' }, { fault: 'slow' }, { fault: 'drop_response=1' }, { fault: 'reset', times: 0 },
    { fault: 'reset', match: { oparation: 'x' } }]) {
    equal((await call(sandbox, 'POST', '/_sandbox/faults', wrong)).status, 422, JSON.stringify(wrong));
  }
});

test('faults: webhooks can be lost, doubled and late', async ({ sandbox, mintro }) => {
  await listening(sandbox, () => 200, async (hook) => {
    const paid = async (fault) => {
      const made = (await call(sandbox, 'POST', '/api/platform/intents', order(mintro, { intent_type: 'one_time' }), who)).body.data;
      equal((await call(sandbox, 'POST', '/_sandbox/faults', { match: { event: 'payment.succeeded' }, fault })).status, 201, fault);
      equal((await pay(sandbox, { intent_id: made.intent_id, card: '4242424242424242' })).body.status, 'succeeded', fault);
      return () => hook.got.filter((e) => e.data.intent_id === made.intent_id).length;
    };
    const doubled = await paid('duplicate');
    await eventually('both', () => doubled() === 2);
    const lost = await paid('lose');
    const late = await paid('delay=3600000');
    await mintro.advance('59m');
    equal([lost(), late()], [0, 0], 'before');
    await mintro.advance('2m');
    await eventually('the late one', () => late() === 1);
    equal(lost(), 0, 'the lost one');
  });
});

test('control: pay refuses what a page would refuse; nothing secret is recorded', async ({ sandbox, mintro }) => {
  const body = order(mintro, { intent_type: 'one_time' });
  const made = (await call(sandbox, 'POST', '/api/platform/intents', body, who)).body.data;
  const id = made.intent_id;
  for (const [given, status] of [[{ intent_id: 'pi_x', card: '4242424242424242' }, 404], [{ intent_id: id, card: '4012888888881881' }, 422],
    [{ intent_id: id, card: 5 }, 422], [{ intent_id: id, action: 'dance' }, 422], [{}, 422], [{ intent_id: id }, 422]]) {
    equal((await pay(sandbox, given)).status, status, JSON.stringify(given));
  }
  equal((await pay(sandbox, { intent_id: id, action: 'fail' })).body, { status: 'failed' }, 'fail');
  equal((await pay(sandbox, { intent_id: id, card: '4000 0038 0000 0446' })).body, { status: 'requires_action' }, 'challenge');
  equal((await pay(sandbox, { intent_id: id })).body, { status: 'succeeded' }, 'completed');
  equal((await pay(sandbox, { intent_id: id, action: 'cancel' })).status, 409, 'paid already');

  const other = (await call(sandbox, 'POST', '/api/platform/intents', order(mintro, { intent_type: 'one_time' }), who)).body.data;
  const form = new URLSearchParams({ action: 'pay', card_number: '4242 4242 4242 4242', card_expiry: '12/39', card_cvc: '987', card_name: 'J' });
  equal((await fetch(other.payment_url, { method: 'POST', body: form })).status, 200, 'paid on the page');
  const requests = await call(sandbox, 'GET', '/_sandbox/requests?provider=mintro&limit=10000');
  const text = JSON.stringify(requests.body);
  ok(!/4242[ +]?4242|mintro_test_secret|card_cvc=987/.test(text), 'something secret was recorded');
  const mine = requests.body.data.filter((r) => r.reference === body.reference_id);
  equal([mine[0].operation, mine[0].method, mine[0].path, mine[0].status, mine[0].body.amount], ['intents.create', 'POST', '/api/platform/intents', 200, 80], 'the request');
  equal((await call(sandbox, 'GET', '/_sandbox/requests?nonsense=1')).status, 422, 'an unknown filter');
  equal((await call(sandbox, 'GET', `/_sandbox/ledger?reference=${body.reference_id}`)).body.data.map((e) => [e.provider, e.kind, e.amount, e.currency]),
    [['mintro', 'charge', '80.00', 'USD']], 'ledger');
  for (const url of ['http://example.com/', 'https://127.0.0.1/', 'http://127.0.0.1@example.com/', 'nonsense', 5]) {
    equal((await call(sandbox, 'PUT', '/_sandbox/endpoints', { mintro: url })).status, 422, String(url));
  }
  const state = (await call(sandbox, 'GET', '/_sandbox/state')).body;
  equal(state.providers.mintro.intents.find((intent) => intent.intent_id === id)?.status, 'succeeded', 'state');
  equal((await call(sandbox, 'POST', '/_sandbox/balance', { provider: 'mintro', balance: 0 })).status, 422, 'balance');
});

test('control: the front page shows curl that works as pasted', async ({ sandbox, open }) => {
  const page = await open();
  await page.goto(`${sandbox}/`);
  equal(page.complaints, [], 'complaints');
  const command = await page.locator('pre').first().innerText();
  const { execFileSync } = await import('node:child_process');
  const answer = execFileSync('bash', ['-c', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  ok(answer.includes('"status":"requires_payment","amount":"80.00"'), answer);
  ok(answer.endsWith('{"status":"succeeded"}'), answer);
});
