// Exchange the access token on standard input, and print the issued one. Node.js 20 or later, without a package.
//
//     EXCHANGE=https://exchange.example CLIENT_ID=shop CLIENT_SECRET=… TARGET=https://orders.example \
//         node examples/caller.mjs <token.txt
import { readFileSync } from "node:fs";

const { EXCHANGE, CLIENT_ID, CLIENT_SECRET, TARGET, SCOPE = "" } = process.env;

// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
const encoded = (text) => new URLSearchParams({ "": text }).toString().slice(1);
const credentials = Buffer.from(`${encoded(CLIENT_ID)}:${encoded(CLIENT_SECRET)}`).toString("base64");

const answer = await fetch(`${EXCHANGE}/token`, {
  method: "POST",
  headers: { Authorization: `Basic ${credentials}` },
  body: new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: readFileSync(0, "utf8").trim(),
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    audience: TARGET,
    scope: SCOPE,
  }),
  redirect: "error", // a redirect would carry the token to somebody else
  signal: AbortSignal.timeout(15_000),
});
const body = await answer.json();
if (answer.ok) {
  console.log(body.access_token);
} else {
  console.error(`${body.reason} (request ${body.request_id}): ${body.error_description}`);
  process.exitCode = 1;
}
