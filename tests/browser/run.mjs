// node run.mjs [part of a test's name]: runs the browser tests and counts. See README.md.
import { api, launch, runAll, startMerchant, startPages, startProgram } from './harness.mjs';
import './shop.test.mjs';
import './checkout.test.mjs';
import './ways.test.mjs';
import './mintro.test.mjs';
import './pay.test.mjs';
import './embed.test.mjs';
import './paymnt.test.mjs';
import './paymint.test.mjs';

const program = await startProgram();
const pages = await startPages();
const merchant = await startMerchant();
const browser = await launch();
let failed = 1;
try {
  failed = await runAll({ ...program, pages, merchant, browser, mintro: api(program.sandbox) }, process.argv[2]);
} finally {
  await browser.close();
  merchant.stop();
  await pages.stop();
  await program.stop();
}
process.exit(failed ? 1 : 0);
