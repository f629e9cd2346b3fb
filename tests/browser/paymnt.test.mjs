// Paymnt's hosted page, /pay/{payment_id}: it looks like the others, and its own rules are that a decline is final and
// that a challenge has no way back.
import { join } from 'node:path';
import { cards, equal, ok, out, payButton, state, test, type, until } from './harness.mjs';

async function call(sandbox, path, body) {
  const answer = await fetch(sandbox + path, {
    method: body ? 'POST' : 'GET',
    headers: { 'api-key': 'sk_sandbox_mintage', 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  const value = await answer.json();
  ok(answer.status === 200, `${path}: ${answer.status} ${JSON.stringify(value)}`);
  return value;
}

const create = (sandbox, more) => call(sandbox, '/payments', {
  amount: 1000, currency: 'USD', description: 'Order #1001', name: 'Ann Lee', payment_link: true, ...more,
});
const status = async (sandbox, payment) => (await call(sandbox, `/payments/${payment.payment_id}`)).status;

test('Paymnt: a card pays on the page and the customer returns, told what became of it', async ({ sandbox, merchant, open }) => {
  const payment = await create(sandbox, { return_url: `${merchant.url}/return` });
  const page = await open();
  await page.goto(payment.payment_link.link);
  equal(await payButton(page).innerText(), 'Pay $10.00', 'the button');
  ok((await page.locator('.order').innerText()).includes('Order #1001'), 'the order is named');
  await type(page, cards.good);
  await payButton(page).click();
  await until(page, 'succeeded');
  await page.screenshot({ path: join(out, 'paymnt-succeeded.png') });
  await page.waitForURL(`${merchant.url}/return?payment_id=${payment.payment_id}&status=succeeded`);
  equal(await status(sandbox, payment), 'succeeded', 'status');
  equal(page.complaints, [], 'complaints');
});

test('Paymnt: won have no decimals, and a decline is final', async ({ sandbox, open }) => {
  const payment = await create(sandbox, { amount: 10000, currency: 'KRW' });
  const page = await open();
  await page.goto(payment.payment_link.link);
  equal(await payButton(page).innerText(), 'Pay ₩10,000', 'the button');
  await type(page, cards.funds);
  await payButton(page).click();
  await until(page, 'failed');
  equal(await payButton(page).count(), 0, 'buttons that pay');
  equal(await status(sandbox, payment), 'failed', 'status');
});

test('Paymnt: a 3-D Secure challenge without script', async ({ sandbox, open }) => {
  const payment = await create(sandbox, {
    confirm: true, payment_method: 'card', payment_method_data: {
      card: { card_number: '4000003800000446', card_exp_month: '12', card_exp_year: '2034', card_cvc: '123' },
    },
  });
  const page = await open({ javaScriptEnabled: false });
  await page.goto(payment.next_action.redirect_to_url);
  equal(await state(page), 'challenge', 'the page');
  equal(await page.locator('button[value=abandon]').count(), 0, 'ways back to the form');
  await page.locator('button[value=complete]').click();
  equal(await state(page), 'succeeded', 'the page afterwards');
  equal(await status(sandbox, payment), 'succeeded', 'status');
});
