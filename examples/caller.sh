#!/bin/sh
# Exchange the access token on standard input, and print the issued one. Needs curl and jq.
#
#     EXCHANGE=https://exchange.example CLIENT_ID=shop CLIENT_SECRET=… TARGET=https://orders.example \
#         sh examples/caller.sh <token.txt
set -eu

# The secret goes through a file descriptor and the token through standard input: the arguments of a command are for
# every user of the machine to read.
answer=$(tr -d '\r\n' | curl --silent --show-error --max-time 15 --write-out '\n%{http_code}' "$EXCHANGE/token" \
  --config /dev/fd/3 \
  --data-urlencode subject_token@- \
  --data subject_token_type=urn:ietf:params:oauth:token-type:access_token \
  --data grant_type=urn:ietf:params:oauth:grant-type:token-exchange \
  --data-urlencode "audience=$TARGET" \
  --data-urlencode "scope=${SCOPE:-}" 3<<END
user = "$CLIENT_ID:$CLIENT_SECRET"
END
)
status=${answer##*
}
body=${answer%
*}
if [ "$status" = 200 ]; then
  printf '%s' "$body" | jq --raw-output .access_token
else
  printf '%s' "$body" | jq --raw-output '"\(.reason) (request \(.request_id)): \(.error_description)"' >&2
  exit 1
fi
