// The checkout page of a run in every state, alone: what it shows, how it follows, what it sends. The states come from
// flows/page.lua; the ways to pay themselves are in ways.test.mjs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { equal, eventually, ok, out, root, state, test, until } from './harness.mjs';
import { sound } from './sound.mjs';

const order = {
  reference: 'ORDER-1001', tax: '9.12 USD', discount: '10.00 USD',
  items: [{ name: 'Coffee beans, 250 g', quantity: 2, price: '12.50 USD' }, { name: 'Burr grinder & <service>', quantity: 1, price: '89.00 USD' }],
};
const ways = ['mintro', 'paymnt', 'paymint', 'epin'];
const open = { step: 'choose', attempt: 0, ways, total: '113.12 USD', due: '113.12 USD', order };
const part = { due: '83.12 USD', paid: [{ way: 'epin', amount: '30.00 USD', change: '20.00 USD', masked: '**** 4821' }] };
const url = 'http://127.0.0.1:9/pay/1'; // nobody is there
const inSeconds = (n) => new Date(Date.now() + n * 1000).toISOString();

// name: what is published, the state that shows it.
const states = {
  choose: [{ progress: { ...open, step: 'pay', way: 'mintro', payment_url: url } }, 'choose'],
  declined: [{ progress: { ...open, ...part, attempt: 2, problem: { way: 'mintro', kind: 'declined' } } }, 'choose'],
  phone: [{ progress: { ...open, attempt: 1, problem: { way: 'paymint', kind: 'invalid_request', field: 'phone' } } }, 'choose'],
  epin: [{ progress: { ...open, attempt: 1, tries_left: 3, problem: { way: 'epin', kind: 'insufficient_funds', field: 'amount' } } }, 'choose'],
  opening: [{ progress: { ...open, step: 'opening', attempt: 1 } }, 'opening'],
  closing: [{ progress: { ...open, step: 'closing', attempt: 1 } }, 'closing'],
  leaving: [{ progress: { ...open, ...part, step: 'pay', attempt: 1, way: 'paymnt', payment_url: url } }, 'leaving'],
  waiting: [{ progress: { ...open, step: 'pay', attempt: 1, way: 'paymint', phone_masked: '010-****-5678', payment_url: url, resend: true,
    expires_at: inSeconds(500) } }, 'waiting'],
  done: [{ progress: { ...open, ...part, due: '0.00 USD', step: 'done', attempt: 2 } }, 'succeeded'],
  plain: [{ progress: {} }, 'preparing'],
};

test('checkout: every state fits a small screen, in both languages and colours, and is labelled', async ({ pages, open: browse }) => {
  const runs = {};
  for (const [name, [input]] of Object.entries(states)) runs[name] = await pages.start(input);
  for (const [kind, view, query] of [
    ['desk', { viewport: { width: 1100, height: 800 } }, ''],
    ['small', { viewport: { width: 320, height: 640 }, colorScheme: 'dark' }, '?locale=ko'],
  ]) {
    const page = await browse(view);
    for (const [name, run] of Object.entries(runs)) {
      await page.goto(run.checkout_url + query);
      equal([await state(page), await page.getAttribute('html', 'lang')], [states[name][1], query ? 'ko' : 'en'], `${name}, ${kind}`);
      await sound(page, `${name}, ${kind}`);
      await page.screenshot({ path: join(out, `checkout-${name}-${kind}.png`), fullPage: true });
    }
    equal(page.complaints, [], `complaints, ${kind}`);
  }
});

test('checkout: the order says what is paid already and what is due', async ({ pages, open: browse }) => {
  const run = await pages.start(states.declined[0]);
  const page = await browse();
  await page.goto(run.checkout_url);
  const text = await page.locator('.order').innerText();
  for (const said of ['ORDER-1001', 'Still to pay', '$83.12', 'Burr grinder & <service>', '2 × $12.50', '$25.00', '$9.12', '−$10.00',
    '$113.12', 'ePIN **** 4821', '−$30.00', '$20.00 is left on it']) {
    ok(text.includes(said), `the order does not say ${said}: ${text}`);
  }
  ok(!text.includes('Other charges'), 'it adds up');
  ok((await page.title()).startsWith('Error: '), 'the title says that something went wrong');
  equal(await page.locator('[name=way]:checked').inputValue(), 'paymnt', 'another way is marked');
});

test('checkout: the choice works with the keyboard, and shows only what belongs to the way', async ({ pages, open: browse }) => {
  const page = await browse();
  await page.goto((await pages.start(states.choose[0])).checkout_url);
  const button = page.locator('#ways button');
  equal(await page.evaluate(() => document.activeElement.tagName), 'BODY', 'nothing has taken the focus');
  equal([await page.locator('#phone').isVisible(), await page.locator('#epin').isVisible()], [false, false], 'fields at first');
  await page.locator('#way-mintro').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  equal(await page.evaluate(() => document.activeElement.id), 'way-paymint', 'the focus stays in the group');
  equal([await page.locator('#phone').isVisible(), await page.locator('#epin').isVisible()], [true, false], 'fields of Paymint');
  equal(await button.innerText(), 'Send the bill', 'the button');
  await page.keyboard.press('Tab');
  equal(await page.evaluate(() => document.activeElement.id), 'phone', 'then its field');
  await page.locator('label[for=way-epin]').click();
  equal([await page.locator('#phone').isVisible(), await page.locator('#epin').isVisible()], [false, true], 'fields of the ePIN');
  equal(await page.locator('#epin').getAttribute('autocomplete'), 'off', 'browsers do not keep it');
});

test('checkout: it follows the run by itself, keeps what is typed and leaves the focus where it is', async ({ pages, open: browse }) => {
  const run = await pages.start(states.choose[0]);
  const page = await browse();
  await page.goto(run.checkout_url);
  await page.locator('#way-paymint').check();
  await page.locator('#phone').fill('010-1234');
  await page.locator('footer a').first().focus();
  await pages.say(run, { progress: { step: 'choose', attempt: 1, problem: { way: 'epin', kind: 'declined' } } });
  await page.locator('#errors').waitFor();
  equal([await page.locator('#phone').inputValue(), await page.locator('[name=way]:checked').inputValue()], ['010-1234', 'paymint'], 'typed');
  equal(await page.evaluate(() => document.activeElement.textContent), 'English', 'focus');
  equal(await page.locator('#announce').innerText(), 'How would you like to pay?', 'announced');
  await pages.say(run, { progress: { step: 'pay', way: 'paymint', phone_masked: '010-****-5678', attempt: 2, problem: null } });
  await until(page, 'waiting');
  equal(await page.locator('#announce').innerText(), 'Pay on your phone', 'announced');
  await pages.say(run, { done: { status: 'succeeded' } });
  await until(page, 'succeeded');
  equal(page.complaints, [], 'complaints');
});

test('checkout: a lost connection is said, and what is true is shown when it is back', async ({ pages, open: browse }) => {
  const run = await pages.start(states.waiting[0]);
  const page = await browse();
  await page.goto(run.checkout_url);
  await page.context().setOffline(true);
  await page.locator('#connection:not(:empty)').waitFor();
  await page.screenshot({ path: join(out, 'checkout-lost.png') });
  await pages.say(run, { done: {} });
  await page.context().setOffline(false);
  await until(page, 'succeeded');
  equal(await page.locator('#connection').innerText(), '', 'the banner has gone');
});

test('checkout: how it ended, in words, and the way back to the shop', async ({ pages, merchant, open: browse }) => {
  const page = await browse(), plain = await browse({ javaScriptEnabled: false });
  for (const [say, wanted, words] of [
    [{ fail: 'expired' }, 'expired', 'has expired'], [{ fail: 'cancelled' }, 'cancelled', 'cancelled'], [{ fail: 'odd' }, 'failed', 'did not succeed'],
  ]) {
    const run = await pages.start({ progress: { ...open } });
    await page.goto(run.checkout_url);
    await pages.say(run, say);
    await until(page, wanted);
    ok((await page.locator('h1').innerText()).includes(words), wanted);
    equal(await page.locator('button').count(), 0, 'nothing to press');
  }
  for (const [name, say] of [['return', { done: {} }], ['cancel', { fail: 'cancelled' }]]) {
    const run = await pages.start({ progress: { ...open, success_url: `${merchant.url}/return`, cancel_url: `${merchant.url}/cancel` } });
    await page.goto(run.checkout_url);
    await pages.say(run, say);
    await page.waitForURL(`${merchant.url}/${name}`);
    await plain.goto(run.checkout_url);
    await plain.waitForURL(`${merchant.url}/${name}`);
  }
});

test('checkout: the end of the time to pay is said near it, and announced', async ({ pages, open: browse }) => {
  const page = await browse();
  await page.goto((await pages.start({ progress: { ...open, expires_at: inSeconds(3600) } })).checkout_url);
  equal(await page.locator('#expiry').innerText(), '', 'long before');
  await page.goto((await pages.start({ progress: { ...open, expires_at: inSeconds(330) } })).checkout_url);
  equal(await page.locator('#expiry').innerText(), 'Time left to pay: 5 min', 'said');
  await page.goto((await pages.start({ progress: { ...open, expires_at: inSeconds(40) } })).checkout_url);
  await eventually('it is announced', async () => (await page.locator('#announce').innerText()).includes('Less than a minute'));
});

test('checkout: without script it refreshes where nothing is typed, and nowhere else', async ({ pages, open: browse }) => {
  const page = await browse({ javaScriptEnabled: false });
  const run = await pages.start(states.opening[0]);
  await page.goto(run.checkout_url);
  await pages.say(run, { progress: { step: 'choose' } });
  await until(page, 'choose');
  equal(await page.locator('meta[http-equiv=refresh]').count(), 0, 'refreshes of the choice');
});

test('checkout: the page with style and script stays small', async ({ pages }) => {
  const run = await pages.start(states.epin[0]);
  const parts = [Buffer.from(await (await fetch(run.checkout_url)).arrayBuffer()),
    ...['checkout.css', 'checkout.js'].map((name) => readFileSync(join(root, 'web/checkout', name)))];
  const size = parts.reduce((sum, part) => sum + gzipSync(part).length, 0);
  ok(size <= 12 * 1024, `the page weighs ${size} bytes`);
});
