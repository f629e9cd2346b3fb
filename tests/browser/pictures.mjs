// node pictures.mjs: takes the pictures of the README anew, into web/pictures: the payment page, and the story of its run as
// `mintage runs show` tells it in a terminal.
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
  const page = await (await browser.newContext({ viewport: { width: 1100, height: 760 } })).newPage();
  await api(world.sandbox).arm({ provider: 'mintro', operation: 'intents.create' }, 'drop_response');
  await page.goto(`${world.runtime}/shop`);
  await page.fill('[name=beans]', '2');
  await page.fill('[name=grinder]', '1');
  await page.fill('[name=name]', 'Ada Lovelace');
  await page.fill('[name=email]', 'ada@example.com');
  await page.locator('button').click();
  await payButton(page).waitFor();
  await type(page, cards.good);
  await page.screenshot({ path: join(into, 'checkout.png') });
  await payButton(page).click();
  await until(page, 'succeeded');
  const list = mintage('runs', 'list');
  const id = /run_\w+/.exec(list)[0];
  await terminal([[`mintage runs list`, list], [`mintage runs show ${id}`, mintage('runs', 'show', id)]]);
} finally {
  await browser.close();
  await world.stop();
}
