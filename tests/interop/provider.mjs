// A real OpenID provider for the interop tests: everybody is Ada, and consent is given at once.
//
//     node provider.mjs PORT RESOURCE
//
// With `resource=RESOURCE` its access tokens are RFC 9068 JWTs. With `resource=RESOURCE/opaque` they are opaque and for
// RESOURCE all the same, which introspection tells; without they are opaque and for nobody. Keys are made at the start.

import { createServer } from 'node:http';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { Provider } from 'oidc-provider';

const [port, resource] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = 'orders.read orders.write';

const jwk = (type, options) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
  use: 'sig',
});

const provider = new Provider(issuer, {
  jwks: { keys: [jwk('rsa', { modulusLength: 2048 }), jwk('ec', { namedCurve: 'P-256' })] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  clients: [{
    client_id: 'shop-web',
    client_secret: 'known-to-this-test-alone',
    redirect_uris: ['https://shop.example/callback'],
    grant_types: ['authorization_code', 'client_credentials'],
    response_types: ['code'],
  }, {
    client_id: 'exchange',
    client_secret: 'known-to-this-test-alone',
    redirect_uris: [],
    grant_types: [],
    response_types: [],
  }],
  scopes: ['openid', ...scope.split(' ')],
  claims: { openid: ['sub'], email: ['email'] },
  conformIdTokenClaims: false,
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub, email: 'ada@shop.example' }) }),
  ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 600, Interaction: 600, Session: 600, Grant: 600 },
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (ctx, indicator) => ({
        scope,
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: indicator === resource ? 'jwt' : 'opaque',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

async function logInAndConsent(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    return provider.interactionFinished(request, response, { login: { accountId: 'ada' } });
  }
  const grant = new provider.Grant({ accountId: 'ada', clientId: params.client_id });
  grant.addOIDCScope('openid orders.read orders.write');
  grant.addResourceScope(resource, scope);
  grant.addResourceScope(`${resource}/opaque`, scope);
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

const serve = provider.callback();
createServer((request, response) => {
  if (request.url.startsWith('/interaction/')) {
    logInAndConsent(request, response).catch((error) => response.writeHead(500).end(String(error)));
  } else {
    serve(request, response);
  }
}).listen(Number(port), '127.0.0.1');
