// The demo shop and the checkout page of a run, through runtime, sandbox and webhooks.
import { join } from 'node:path';
import { cards, equal, ok, out, payButton, test, type, until } from './harness.mjs';
import { sound } from './sound.mjs';

async function order(page, runtime, integration) {
  await page.goto(`${runtime}/shop`);
  await page.fill('[name=beans]', '2');
  await page.fill('[name=name]', 'John Doe');
  await page.fill('[name=email]', 'customer@example.com');
  await page.check(`[name=integration][value=${integration}]`);
}
// Orders, and takes the way that the checkout page has marked: Mintro.
async function checkOut(page) {
  await page.locator('button').click();
  await until(page, 'choose');
  await page.locator('#ways button').click();
}

test('shop: pay on the provider\'s page and come back to a finished order', async ({ runtime, open }) => {
  const page = await open();
  await order(page, runtime, 'url');
  await sound(page, 'the shop');
  await page.screenshot({ path: join(out, 'shop.png'), fullPage: true });
  await checkOut(page);
  await payButton(page).waitFor();
  equal(await payButton(page).innerText(), 'Pay $25.00', 'the button');
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(/\/checkout\//);
  await until(page, 'succeeded');
  await page.screenshot({ path: join(out, 'checkout-succeeded.png') });
  equal(page.complaints, [], 'complaints');
});

test('shop: pay in a frame inside the checkout page', async ({ runtime, open }) => {
  const page = await open();
  await order(page, runtime, 'iframe');
  await checkOut(page);
  await until(page, 'frame');
  const frame = page.frameLocator('#frame iframe');
  await frame.locator('button[value=pay]').waitFor();
  await page.screenshot({ path: join(out, 'checkout-frame.png') });
  await type(frame, cards.declined);
  await frame.locator('button[value=pay]').click();
  await frame.locator('#errors h2').waitFor();
  await type(frame, cards.good);
  await frame.locator('button[value=pay]').click();
  await until(page, 'succeeded');
});

test('shop: a payment is cancelled on the provider\'s page, then the order on ours', async ({ runtime, mintro, open }) => {
  const page = await open();
  await order(page, runtime, 'url');
  await checkOut(page);
  await page.locator('button[value=cancel]').click();
  await page.waitForURL(/\/checkout\//);
  await mintro.advance('2m'); // no webhook tells of it: the runtime looks by itself after a while
  await page.locator('#errors').waitFor();
  ok((await page.locator('#errors').innerText()).includes('was cancelled'), 'why');
  await page.locator('.cancel summary').click();
  await page.locator('button[value=cancel]').click();
  await until(page, 'cancelled');
});

test('shop: in won, to a phone', async ({ runtime, open }) => {
  const page = await open({ viewport: { width: 320, height: 640 }, colorScheme: 'dark' });
  await page.goto(`${runtime}/shop`);
  await page.getByRole('link', { name: 'Korean won' }).click();
  await page.waitForURL(/currency=KRW/);
  await sound(page, 'the shop');
  await page.screenshot({ path: join(out, 'shop-small.png'), fullPage: true });
  await page.fill('[name=name]', 'Ann Lee');
  await page.fill('[name=email]', 'ann@example.com');
  await page.fill('[name=phone]', '010-1234-5678');
  await page.locator('button').click();
  await until(page, 'choose');
  await page.locator('label[for=way-paymint]').click();
  await page.locator('#ways button').click(); // the number is known
  await until(page, 'waiting');
  await page.locator('main a.secondary').click();
  await type(page, cards.good);
  await page.locator('button[value=card]').click();
  await until(page, 'succeeded');
  await page.goBack();
  await until(page, 'succeeded');
});

test('shop: sending the form twice is one order', async ({ runtime, open }) => {
  const page = await open();
  await order(page, runtime, 'url');
  const form = await page.evaluate(() => new URLSearchParams(new FormData(document.querySelector('form'))).toString());
  const send = () => fetch(`${runtime}/shop/orders`, {
    method: 'POST', body: form, redirect: 'manual', headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  const answers = await Promise.all([send(), send()]);
  equal(answers.map((a) => a.status), [303, 303], 'statuses');
  equal(answers[0].headers.get('location'), answers[1].headers.get('location'), 'where they lead');
});

test('shop: what is missing is said', async ({ runtime, open }) => {
  const page = await open();
  await page.goto(`${runtime}/shop`);
  await page.fill('[name=beans]', '0');
  await page.fill('[name=name]', 'John <b>Doe');
  await page.fill('[name=email]', 'customer@example.com');
  await page.locator('button').click();
  ok((await page.locator('[role=alert]').innerText()).includes('choose'), 'the complaint');
  equal(await page.inputValue('[name=name]'), 'John <b>Doe', 'what was typed');
  await page.fill('[name=beans]', '1');
  await page.fill('[name=phone]', '02-123-4567');
  await page.locator('button').click();
  ok((await page.locator('[role=alert]').innerText()).includes('mobile number'), 'the complaint');
});

test('checkout: a sole way leads to the payment at once, and back to the outcome, with script and without', async ({ start, open }) => {
  for (const javaScriptEnabled of [true, false]) {
    const run = await start('checkout', { reference: `SOLE-${process.pid}-${javaScriptEnabled}`, amount: '25.00 USD', ways: ['mintro'],
      email: 'ann@example.com', name: 'Ann Lee', items: [{ name: 'Coffee beans', quantity: 1, price: '25.00 USD' }] });
    const page = await open({ javaScriptEnabled });
    await page.goto(run.checkout_url);
    await payButton(page).waitFor();
    await type(page, cards.good);
    await payButton(page).click();
    await page.waitForURL(/\/checkout\//);
    await until(page, 'succeeded');
  }
});

test('checkout: an unknown one is not found', async ({ runtime, open }) => {
  equal((await (await open()).goto(`${runtime}/checkout/nothing`)).status(), 404, 'unknown');
});
