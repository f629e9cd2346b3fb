// What the browser tests stand on: a registry of tests, Chromium, the program under test on free ports, and a merchant's
// site of our own. Nothing sleeps for time: everything waits for a condition.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, mkdirSync, readFileSync, rmSync, existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
export const root = resolve(here, '../..');
export const out = join(here, 'out');
mkdirSync(out, { recursive: true });

// ---- tests ----

const tests = [];
export function test(name, body) { tests.push({ name, body }); }

export async function runAll(world, filter) {
  let passed = 0, failed = 0;
  for (const { name, body } of tests) {
    if (filter && !name.includes(filter)) continue;
    const opened = [], began = Date.now();
    const tools = { ...world, open: (options) => openPage(world.browser, opened, options) };
    try {
      await body(tools);
      passed++;
      console.log(`ok    ${name}  (${Date.now() - began} ms)`);
    } catch (error) {
      failed++;
      console.log(`FAIL  ${name}\n      ${String(error.stack || error).split('\n').slice(0, 6).join('\n      ')}`);
      const page = opened.at(-1)?.page;
      await page?.screenshot({ path: join(out, `failed-${name.replace(/\W+/g, '-').slice(0, 60)}.png`) }).catch(() => {});
    }
    for (const { context } of opened) await context.close();
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed;
}

// Same JSON, whatever the order of the fields.
export function equal(found, wanted, what) {
  const [a, b] = [found, wanted].map((value) => JSON.stringify(value, (_, v) =>
    v && typeof v === 'object' && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort()) : v));
  if (a !== b) throw new Error(`${what}: found ${a}, wanted ${b}`);
}
export function ok(condition, what) { if (!condition) throw new Error(what); }

export async function eventually(what, condition, limit = 15000) {
  const end = Date.now() + limit;
  let last;
  while (Date.now() < end) {
    last = await condition();
    if (last) return last;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what}: did not happen within ${limit} ms`);
}

// ---- Chromium ----

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-quic'],
  });
}

// A page in a context of its own. Errors of scripts and violations of the policy are collected in page.complaints.
async function openPage(browser, opened, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 }, locale: 'en-US', ...options });
  context.setDefaultTimeout(15000);
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (line) => {
    if (line.type() === 'error' && /Content Security Policy|Refused/.test(line.text())) page.complaints.push(line.text());
  });
  opened.push({ context, page });
  return page;
}

// ---- the program ----

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

async function answers(url) {
  try { return (await fetch(url)).status === 200; } catch { return false; }
}

// mintage dev, or, for work on the pages alone, sandbox and runtime that run already (SANDBOX_URL, RUNTIME_URL, RUNTIME_DATA).
export async function startProgram() {
  if (process.env.SANDBOX_URL) {
    const running = { sandbox: process.env.SANDBOX_URL, runtime: process.env.RUNTIME_URL, data: process.env.RUNTIME_DATA, stop() {} };
    return { ...running, start: starter(running) };
  }
  const sandboxPort = await freePort();
  const sandbox = `http://127.0.0.1:${sandboxPort}`;
  const world = await start('dev', ['--sandbox-port', sandboxPort, '--flows', join(root, 'flows')], sandbox);
  return { ...world, sandbox, start: starter(world) };
}

// Runs of flows/page.lua, which show the checkout page in any state: start() answers a run, say() tells it how to go on.
export async function startPages() {
  const world = await start('serve', ['--flows', join(here, 'flows')]);
  return {
    ...world,
    start: (input) => post(world, '/v1/flows/page/runs?wait=1s', input),
    say: (run, payload) => post(world, `/v1/runs/${run.id}/signal`, { topic: 'page', key: run.id, payload }),
  };
}

const starter = (world) => (flow, input) => post(world, `/v1/flows/${flow}/runs?wait=1s`, input);

async function post({ runtime, data }, path, body) {
  const token = readFileSync(join(data, 'admin-token'), 'utf8').trim();
  const answer = await fetch(runtime + path, { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: JSON.stringify(body) });
  const value = await answer.json();
  ok(answer.ok, `${path}: ${answer.status} ${JSON.stringify(value)}`);
  return value;
}

// A program of its own on a free port, in a new data directory, ready.
async function start(command, args, sandbox) {
  const program = resolve(process.env.MINTAGE_BIN || join(root, 'build/mintage'));
  if (!existsSync(program)) throw new Error(`there is no ${program}: build it, or say MINTAGE_BIN=...`);
  const data = mkdtempSync(join(tmpdir(), 'mintage-browser-'));
  const port = await freePort();
  const env = { ...process.env };
  delete env.MINTAGE_BIN; // ours; the program refuses settings that it does not know
  const all = [command, '--port', port, '--data', data, ...args].map(String);
  const child = spawn(program, all, { stdio: ['ignore', 'pipe', 'pipe'], cwd: data, env });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { log = (log + text).slice(-20000); });
  let ended = null;
  const gone = new Promise((done) => child.on('exit', (code) => { ended = code ?? 'signal'; done(); }));
  const world = {
    runtime: `http://127.0.0.1:${port}`,
    program, data,
    async stop() {
      if (ended === null) child.kill('SIGTERM');
      await gone;
      rmSync(data, { recursive: true, force: true });
    },
    log: () => log,
  };
  try {
    await eventually(`mintage ${command} answers`, async () => {
      if (ended !== null) throw new Error(`mintage ${command} ended (${ended}):\n${log}`);
      return await answers(`${world.runtime}/readyz`) && (!sandbox || await answers(`${sandbox}/readyz`));
    }, 30000);
  } catch (error) {
    await world.stop();
    throw new Error(`${error.message}\n${log}`);
  }
  return world;
}

// ---- a merchant's site ----

// Serves /return and /cancel; /shop?frame=URL, which embeds a payment page and keeps the messages it gets; and
// /embed?script=URL, which has embed.js, a place and a button.
export async function startMerchant() {
  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://merchant');
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    const frame = url.searchParams.get('frame');
    const script = url.searchParams.get('script');
    const body = script
      ? `<script src="${script.replace(/"/g, '&quot;')}"></script><h1>Shop</h1><p>Coffee beans, 1 kg</p>
         <button id="buy">Buy</button><div id="place"></div>`
      : frame
      ? `<script>window.messages = []; addEventListener('message', (e) => messages.push({ origin: e.origin, data: e.data }));
         </script><iframe title="Payment" width="600" height="900" src="${frame.replace(/"/g, '&quot;')}"></iframe>`
      : `<h1>${url.pathname.slice(1)}</h1>`;
    response.end(`<!doctype html><title>Merchant</title>${body}`);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => server.close() };
}

// ---- Mintro, as a merchant's server uses it ----

const credentials = { 'X-Client-ID': 'mintro_test_client', 'X-Client-Secret': 'mintro_test_secret' };
let orders = 0;

export function api(sandbox) {
  const send = async (method, path, body, headers) => {
    const answer = await fetch(sandbox + path, {
      method, headers: { 'Content-Type': 'application/json', ...headers }, body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, body: text && JSON.parse(text) };
  };
  return {
    reference: () => `BROWSER-${process.pid}-${Date.now()}-${++orders}`,
    async create(order) {
      const reference_id = order.reference_id || this.reference();
      const made = await send('POST', '/api/platform/intents', {
        amount: 80, currency: 'USD', intent_type: 'one_time', email: 'customer@example.com', name: 'John Doe',
        reference_id, integration_type: 'url', order_items: [{ name: 'Product 1', quantity: 1, price: 80 }], ...order,
      }, credentials);
      equal(made.status, 200, `creating ${JSON.stringify(made.body)}`);
      return { ...made.body.data, reference_id };
    },
    status: async (intent) => (await send('GET', `/api/platform/intents/${intent.intent_id}`, null, credentials)).body.data.status,
    charges: async (intent) => (await send('GET', `/_sandbox/ledger?reference=${intent.reference_id}`)).body.data,
    arm: async (match, fault) => equal((await send('POST', '/_sandbox/faults', { match, fault })).status, 201, 'arming'),
    advance: async (by) => equal((await send('POST', '/_sandbox/clock', { advance: by })).status, 200, 'clock'),
    webhooks: async (intent) => (await send('GET', '/_sandbox/webhooks?provider=mintro')).body.data
      .filter((event) => JSON.stringify(event.body).includes(intent.intent_id)).map((event) => event.event),
  };
}

// ---- the page ----

export const cards = {
  good: '4242424242424242', declined: '4000000000000002', funds: '4000000000009995',
  challenge: '4000000000003220', challengeDeclined: '4000008400001629',
};

// page: a page or a frame.
export async function type(page, number, { expiry = '12 / 39', cvc = '123' } = {}) {
  await page.locator('[name=card_number]').fill(number);
  await page.locator('[name=card_expiry]').fill(expiry);
  await page.locator('[name=card_cvc]').fill(cvc);
}

export const state = (page) => page.locator('#main').getAttribute('data-state');
export async function until(page, wanted) {
  await page.locator(`#main[data-state=${wanted}]`).waitFor({ state: 'attached' });
}
export const payButton = (page) => page.locator('button[value=pay]');
