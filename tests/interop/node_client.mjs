// A backend on Node.js: one exchange, asked for in JSON on standard input and told in JSON on standard output.
//
// {library, issuer, client_id, method, secret, key, dpop, parameters, tls, metadata} -> {issued, header, claims, jkt, sent}
//                                                                                         or {refused, sent}
//
// The libraries are used as their own pages show; `sent` is what went over the wire, so that a second try is seen.

import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const asked = JSON.parse(await text(process.stdin));
const sent = [];

// A connection with a client certificate: the fetch of Node.js cannot make one by itself.
const withCertificate = (url, options) => new Promise((resolve, reject) => {
  const headers = Object.fromEntries(new Headers(options.headers));
  const { cert, key, ca } = asked.tls;
  request(url, { method: options.method, headers, cert, key, ca }, async (response) => {
    resolve(new Response(await text(response), { status: response.statusCode, headers: response.headers }));
  }).on('error', reject).end(String(options.body));
});

async function recordingFetch(url, options) {
  const response = await (asked.tls ? withCertificate : fetch)(url, options);
  const { pathname } = new URL(url);
  sent.push({ path: pathname, status: response.status, dpop: new Headers(options.headers).has('dpop') });
  return response;
}

async function authentication(library) {
  switch (asked.method) {
    case 'client_secret_basic': return library.ClientSecretBasic(asked.secret);
    case 'client_secret_post': return library.ClientSecretPost(asked.secret);
    case 'tls_client_auth': return library.TlsClientAuth();
    case 'private_key_jwt': return library.PrivateKeyJwt({ key: await jose.importJWK(asked.key), kid: asked.key.kid });
  }
  throw new Error(`no method ${asked.method}`);
}

async function byOpenidClient(keyPair) {
  const [auth, server] = [await authentication(openid), new URL(asked.issuer)];
  let config;
  if (asked.tls) {
    config = new openid.Configuration(asked.metadata, asked.client_id, undefined, auth);
    config[openid.customFetch] = recordingFetch;
  } else {
    config = await openid.discovery(server, asked.client_id, undefined, auth, {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests],
      [openid.customFetch]: recordingFetch,
    });
  }
  const DPoP = keyPair && openid.getDPoPHandle(config, keyPair);
  const issued = await openid.genericGrantRequest(config, TOKEN_EXCHANGE, asked.parameters, { DPoP });
  return { issued, metadata: config.serverMetadata() };
}

async function byOauth4webapi(keyPair) {
  const options = { [oauth.allowInsecureRequests]: !asked.tls, [oauth.customFetch]: recordingFetch };
  const [auth, client, issuer] = [await authentication(oauth), { client_id: asked.client_id }, new URL(asked.issuer)];
  const metadata = asked.tls ? asked.metadata : await oauth.processDiscoveryResponse(
    issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...options }));
  const DPoP = keyPair && oauth.DPoP(client, keyPair);
  const exchange = async () => oauth.processGenericTokenEndpointResponse(metadata, client,
    await oauth.genericTokenEndpointRequest(
      metadata, client, auth, TOKEN_EXCHANGE, new URLSearchParams(asked.parameters), { ...options, DPoP }));
  const issued = await exchange().catch((error) => {
    if (DPoP && oauth.isDPoPNonceError(error)) return exchange();
    throw error;
  });
  return { issued, metadata };
}

async function answer() {
  const keyPair = asked.dpop ? await oauth.generateKeyPair(asked.dpop, { extractable: true }) : undefined;
  const exchange = { 'openid-client': byOpenidClient, oauth4webapi: byOauth4webapi }[asked.library];
  let found;
  try {
    found = await exchange(keyPair);
  } catch (error) {
    if (!(error instanceof oauth.ResponseBodyError)) throw error;
    const { name, error: code, error_description, status, cause } = error;
    return { refused: { type: name, error: code, error_description, status, reason: cause.reason }, sent };
  }
  const keys = jose.createRemoteJWKSet(new URL(found.metadata.jwks_uri));
  const { protectedHeader, payload } = await jose.jwtVerify(found.issued.access_token, keys, {
    issuer: found.metadata.issuer,
    audience: asked.parameters.audience,
    typ: 'at+jwt',
    requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
  });
  const jkt = keyPair && await jose.calculateJwkThumbprint(await jose.exportJWK(keyPair.publicKey));
  return { issued: found.issued, header: protectedHeader, claims: payload, jkt, sent };
}

process.stdout.write(JSON.stringify(await answer()));
