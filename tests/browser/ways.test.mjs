// Every way to pay, from the checkout page through the provider's own page and back: runtime, sandbox and webhooks as they are.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { cards, equal, eventually, ok, out, payButton, test, type, until } from './harness.mjs';
import { sound } from './sound.mjs';

const items = (price) => [{ name: 'Coffee beans, 1 kg', quantity: 2, price }];
let made = 0;

async function begin({ start }, more) {
  const reference = `WAYS-${process.pid}-${Date.now()}-${++made}`;
  const run = await start('checkout', {
    reference, amount: '80.00 USD', email: 'ann@example.com', name: 'Ann Lee', items: items('40.00 USD'), ...more,
  });
  return { ...run, reference };
}

// An ePIN of MINT worth so many dollars.
async function epin(sandbox, value) {
  const { unix } = await (await fetch(`${sandbox}/_sandbox/clock`)).json();
  const sign = createHash('md5').update(`mint_test_public${unix}USD${value}1mint_test_private`).digest('hex');
  const answer = await fetch(`${sandbox}/pwapi/mint`, { method: 'POST', body: new URLSearchParams({
    'auth[key]': 'mint_test_public', 'auth[timestamp]': unix, 'auth[sign]': sign,
    'params[currencyCode]': 'USD', 'params[ePinNominalValue]': value, 'params[ePinsCount]': 1,
  }) });
  const made = await answer.json();
  ok(made.success, JSON.stringify(made));
  return made.data[0].pin_code;
}

async function choose(page, way, fields = {}) {
  await until(page, 'choose');
  await page.locator(`label[for=way-${way}]`).click();
  for (const [name, value] of Object.entries(fields)) await page.locator(`#${name}`).fill(value);
  await page.locator('#ways button').click();
}
const order = (page) => page.locator('.order').innerText();
const status = async (run) => (await (await fetch(`${run.checkout_url}/status`)).json());


test('ways: Mintro, by going to its page', async (world) => {
  const run = await begin(world);
  const page = await world.open();
  await page.goto(run.checkout_url);
  await until(page, 'choose');
  equal(await page.locator('[name=way]').evaluateAll((all) => all.map((e) => e.value)), ['mintro', 'paymnt', 'epin'], 'ways for dollars');
  await choose(page, 'mintro');
  await payButton(page).waitFor();
  equal(await payButton(page).innerText(), 'Pay $80.00', 'the button');
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(`${run.checkout_url}**`);
  await until(page, 'succeeded');
  ok((await order(page)).includes('Paid'), 'the order is paid');
  equal(page.complaints, [], 'complaints');

  // The Back button shows what is true, and nothing that could be paid.
  await page.goBack();
  await page.waitForLoadState();
  if (!page.url().startsWith(run.checkout_url)) await page.goto(run.checkout_url);
  await until(page, 'succeeded');
  equal(await page.locator('button').count(), 0, 'buttons');
});

test('ways: Mintro in a frame, after a decline in there', async (world) => {
  const run = await begin(world, { integration: 'iframe' });
  const page = await world.open();
  await page.goto(run.checkout_url);
  await choose(page, 'mintro');
  await until(page, 'frame');
  const frame = page.frameLocator('#frame iframe');
  await type(frame, cards.declined);
  await frame.locator('button[value=pay]').click();
  await frame.locator('#errors h2').waitFor();
  await page.screenshot({ path: join(out, 'ways-frame.png'), fullPage: true });
  await type(frame, cards.good);
  await frame.locator('button[value=pay]').click();
  await until(page, 'succeeded');
  equal(page.complaints, [], 'complaints');
});

test('ways: Paymnt, by card and with 3-D Secure', async (world) => {
  for (const number of [cards.good, '4000003800000446']) {
    const run = await begin(world);
    const page = await world.open();
    await page.goto(run.checkout_url);
    await choose(page, 'paymnt');
    await payButton(page).waitFor();
    await type(page, number);
    await payButton(page).click();
    if (number !== cards.good) await page.locator('button[value=complete]').click();
    await page.waitForURL(`${run.checkout_url}**`);
    await until(page, 'succeeded');
    equal((await status(run)).output.status, 'succeeded', 'the run');
    equal(page.complaints, [], 'complaints');
  }
});

test('ways: a card is declined, and another way pays', async (world) => {
  const run = await begin(world);
  const page = await world.open();
  await page.goto(run.checkout_url);
  await choose(page, 'paymnt');
  await payButton(page).waitFor();
  await type(page, cards.declined);
  await payButton(page).click();
  await page.waitForURL(`${run.checkout_url}**`);
  await page.locator('#errors').waitFor();
  ok((await page.locator('#errors').innerText()).includes('declined'), 'the reason');
  await page.screenshot({ path: join(out, 'ways-declined.png'), fullPage: true });
  await choose(page, 'mintro');
  await payButton(page).waitFor();
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(`${run.checkout_url}**`);
  await until(page, 'succeeded');
});

test('ways: a bill by Paymint, paid on the phone while the page waits', async (world) => {
  const run = await begin(world, { amount: '50000 KRW', items: items('25000 KRW') });
  const page = await world.open({ viewport: { width: 390, height: 844 }, locale: 'ko-KR' });
  await page.goto(run.checkout_url);
  await until(page, 'choose');
  await choose(page, 'paymint', { phone: '02-123-4567' });
  await page.locator('#errors').waitFor();
  equal(await page.locator('#phone').getAttribute('aria-invalid'), 'true', 'the field');
  equal(await page.locator('#phone').inputValue(), '02-123-4567', 'what was typed');
  await choose(page, 'paymint', { phone: '010-1234-5678' });
  await until(page, 'waiting');
  ok((await page.locator('main').innerText()).includes('010-****-5678'), 'the number, masked');
  await page.screenshot({ path: join(out, 'ways-waiting.png'), fullPage: true });
  const first = (await status(run)).progress.bill_id;
  await page.locator('button[value=resend]').click();
  await eventually('another bill is sent', async () => ((await status(run)).progress.bill_id || first) !== first);
  await until(page, 'waiting');
  const { bill_id } = (await status(run)).progress;
  const paid = await fetch(`${world.sandbox}/_sandbox/pay`, { method: 'POST', body: JSON.stringify({ bill_id }) });
  equal(paid.status, 200, 'the bill is paid');
  await until(page, 'succeeded');
  equal(page.complaints, [], 'complaints');
});

test('ways: an ePIN that pays all', async (world) => {
  const run = await begin(world);
  const page = await world.open();
  await page.goto(run.checkout_url);
  const code = await epin(world.sandbox, 100);
  await choose(page, 'epin', { epin: '1234' });
  await page.locator('#errors').waitFor();
  equal(await page.locator('#epin').inputValue(), '', 'the code does not stay');
  await choose(page, 'epin', { epin: code });
  await until(page, 'succeeded');
  const text = await order(page);
  for (const said of [`ePIN **** ${code.slice(-4)}`, '−$80.00', '$20.00 is left on it']) ok(text.includes(said), `${said}: ${text}`);
  ok(!JSON.stringify(await status(run)).includes(code.replace(/ /g, '')), 'the code is nowhere');
  equal(page.url(), run.checkout_url, 'the address has nothing of it');
});

test('ways: an ePIN that pays a part, and a card the rest', async (world) => {
  const run = await begin(world);
  const page = await world.open();
  await page.goto(run.checkout_url);
  const code = await epin(world.sandbox, 30);
  await choose(page, 'epin', { epin: code });
  await page.locator('#errors').waitFor();
  ok((await page.locator('#errors').innerText()).includes('holds less'), 'the reason');
  await choose(page, 'epin', { epin: code, amount: '30' });
  await eventually('a part is paid', async () => (await order(page)).includes('Still to pay'));
  await page.screenshot({ path: join(out, 'ways-part.png'), fullPage: true });
  await choose(page, 'mintro');
  await payButton(page).waitFor();
  equal(await payButton(page).innerText(), 'Pay $50.00', 'the rest');
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(`${run.checkout_url}**`);
  await until(page, 'succeeded');
  await page.screenshot({ path: join(out, 'ways-paid.png'), fullPage: true });
});

test('ways: a double click and a second window are one order', async (world) => {
  const run = await begin(world);
  const [first, second] = [await world.open(), await world.open()];
  for (const page of [first, second]) await page.goto(run.checkout_url);
  const code = await epin(world.sandbox, 100);
  for (const page of [first, second]) {
    await page.locator('label[for=way-epin]').click();
    await page.locator('#epin').fill(code);
  }
  await Promise.all([first.locator('#ways button').dblclick().catch(() => {}), second.locator('#ways button').click().catch(() => {})]);
  for (const page of [first, second]) await until(page, 'succeeded');
  equal((await status(run)).progress.attempt, 1, 'orders');
});

test('ways: another way is chosen while one is open; then the order is cancelled', async (world) => {
  const run = await begin(world, { cancel_url: `${world.merchant.url}/cancel` });
  const page = await world.open();
  await page.goto(run.checkout_url);
  await choose(page, 'paymnt');
  await payButton(page).waitFor();
  await page.goto(run.checkout_url);
  await until(page, 'returned');
  await page.locator('#change').click();
  await until(page, 'choose');
  await page.locator('.cancel summary').click();
  await page.locator('button[value=cancel]').click();
  await page.waitForURL(`${world.merchant.url}/cancel`);
  equal((await status(run)).error.kind, 'cancelled', 'the run');
});

test('ways: without script, an ePIN in part and the rest on Mintro\'s page', async (world) => {
  const run = await begin(world, { success_url: `${world.merchant.url}/return` });
  const page = await world.open({ javaScriptEnabled: false });
  await page.goto(run.checkout_url);
  const code = await epin(world.sandbox, 30);
  await choose(page, 'epin', { epin: code, amount: '30.00' });
  await page.locator('.paid').waitFor();
  await choose(page, 'mintro');
  await payButton(page).waitFor();
  equal(await payButton(page).innerText(), 'Pay $50.00', 'the rest');
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(`${world.merchant.url}/return`);
  await eventually('the run is done', async () => (await status(run)).state === 'completed');
});

test('ways: an ePIN of which nobody knows whether it was taken: the page says not to pay again', async (world) => {
  const run = await begin(world);
  const page = await world.open();
  await page.goto(run.checkout_url);
  await world.mintro.arm({ provider: 'mint', operation: 'epins.redeem' }, 'drop_response');
  await choose(page, 'epin', { epin: await epin(world.sandbox, 100) });
  await until(page, 'attention');
  ok((await page.locator('main').innerText()).includes('do not pay again'), 'it says so');
  equal(await page.locator('main button, main a').count(), 0, 'nothing to press');
  await sound(page, 'attention');
});
