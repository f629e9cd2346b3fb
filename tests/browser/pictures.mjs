// node pictures.mjs: takes the pictures of the README anew, into web/pictures: the checkout page after an ePIN has paid a part of
// an order, and the story of a run as `mintage runs show` tells it in a terminal.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { api, cards, launch, payButton, root, startProgram, type, until } from './harness.mjs';

const into = join(root, 'web/pictures');
mkdirSync(into, { recursive: true });
const world = await startProgram();
const browser = await launch();
const mintage = (...args) => execFileSync(world.program, [...args, '--url', world.runtime, '--data', world.data],
  { encoding: 'utf8', env: { ...process.env, MINTAGE_BIN: undefined, NO_COLOR: '1' } });

async function terminal(commands) {
  const escape = (text) => text.replace(/[&<>]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[c]);
  const text = commands.map(([line, output]) => `<b>$ ${escape(line)}</b>\n${escape(output)}`).join('\n');
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 400 }, deviceScaleFactor: 1.5 })).newPage();
  await page.setContent(`<style>body{margin:0;background:#14161c}pre{margin:0;padding:22px 26px;color:#d6dae3;
    font:14px/1.5 "DejaVu Sans Mono",monospace;white-space:pre-wrap;overflow-wrap:anywhere}b{color:#8fd19e;font-weight:600}</style><pre>${text}</pre>`);
  await page.locator('pre').screenshot({ path: join(into, 'story.png') });
}

try {
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 700 } })).newPage();
  await page.goto(`${world.runtime}/shop`);
  await page.fill('[name=beans]', '2');
  await page.fill('[name=grinder]', '1');
  await page.fill('[name=name]', 'Ada Lovelace');
  await page.fill('[name=email]', 'ada@example.com');
  await page.locator('button').click();
  await page.locator('label[for=way-epin]').click();
  await page.fill('#epin', '1111 1111 1111 1111');
  await page.fill('#amount', '10.00');
  await page.locator('#ways button').click();
  await page.locator('.paid').waitFor();
  await page.mouse.click(5, 5);
  await page.screenshot({ path: join(into, 'checkout.png') });

  // The story: an order with one way to pay, whose first answer is lost.
  await api(world.sandbox).arm({ provider: 'mintro', operation: 'intents.create' }, 'drop_response');
  const run = await world.start('checkout', { reference: 'ORDER-1001', amount: '114.00 USD', ways: ['mintro'], email: 'ada@example.com',
    name: 'Ada Lovelace', items: [{ name: 'Burr grinder', quantity: 1, price: '114.00 USD' }] });
  await page.goto(run.checkout_url);
  await payButton(page).waitFor();
  await type(page, cards.good);
  await payButton(page).click();
  await page.waitForURL(/checkout/);
  await until(page, 'succeeded');
  const list = mintage('runs', 'list');
  const { id } = run;
  await terminal([[`mintage runs list`, list], [`mintage runs show ${id}`, mintage('runs', 'show', id)]]);
} finally {
  await browser.close();
  await world.stop();
}
