"""How the examples reach a coordinator: where it is, whom they believe it to be by, and who they say they are.

The options and the variables of the environment are those of `vismae`.
"""

import os
import pathlib
import sys
import urllib.parse

import grpc

# Exit codes, which are those of `vismae`.
REFUSED, UNREACHABLE, DENIED, LIMITED = 2, 3, 6, 7

LOCAL = ("localhost", "127.0.0.1", "::1")


def add_options(parser):
    """Adds what `connect` needs. There is no option for the token itself: other users of this machine can read command lines."""
    at = os.environ.get("VISMAE_COORDINATOR") or "http://127.0.0.1:7340"
    parser.add_argument("--coordinator", metavar="URL", default=at, help="[env: VISMAE_COORDINATOR]")
    authority = "PEM of the authority that signed the coordinator's certificate; those of gRPC when absent [env: VISMAE_CA]"
    parser.add_argument("--ca", metavar="FILE", default=os.environ.get("VISMAE_CA"), help=authority)
    token = "file with the token to send; VISMAE_TOKEN may hold the token itself [env: VISMAE_TOKEN_FILE]"
    parser.add_argument("--token-file", metavar="FILE", default=os.environ.get("VISMAE_TOKEN_FILE"), help=token)


def connect(parser, arguments):
    """A channel whose requests carry the token, if there is one. It goes over TLS or stays on this machine."""
    url = urllib.parse.urlsplit(arguments.coordinator)
    if url.scheme not in ("http", "https") or not url.hostname:
        parser.error(f"coordinator address `{arguments.coordinator}`, expected one such as `https://vismae.example.org:7340`")
    try:
        ca = pathlib.Path(arguments.ca).read_bytes() if arguments.ca else None
        token = read_token(arguments.token_file)
    except OSError as error:
        parser.error(f"`{error.filename}`: {error.strerror}")
    if url.scheme == "https":
        channel = grpc.secure_channel(url.netloc, grpc.ssl_channel_credentials(root_certificates=ca))
    elif ca:
        parser.error("an authority is for `https://`, and would not be used")
    elif token and url.hostname not in LOCAL:
        parser.error(f"the token is not sent to `{arguments.coordinator}` in plain text, expected an `https://` address")
    else:
        channel = grpc.insecure_channel(url.netloc)
    return grpc.intercept_channel(channel, Bearer(token)) if token else channel


def read_token(file):
    """The token as it is in its file, or else in the environment; none when there is none."""
    text = pathlib.Path(file).read_text(encoding="utf-8") if file else os.environ.get("VISMAE_TOKEN", "")
    return text.strip()


class Bearer(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamStreamClientInterceptor
):
    """Adds the token to every request."""

    def __init__(self, token):
        self.header = ("authorization", f"Bearer {token}")

    def intercept_unary_unary(self, proceed, details, request):
        metadata = [*(details.metadata or ()), self.header]
        return proceed(details._replace(metadata=metadata), request)

    intercept_unary_stream = intercept_stream_stream = intercept_unary_unary


def refused(error):
    """Prints in one line why a call failed, and gives the exit code that says so."""
    print(f"{error.code().name}: {error.details()}", file=sys.stderr)
    return {
        grpc.StatusCode.UNAVAILABLE: UNREACHABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED: UNREACHABLE,
        grpc.StatusCode.UNAUTHENTICATED: DENIED,
        grpc.StatusCode.PERMISSION_DENIED: DENIED,
        grpc.StatusCode.RESOURCE_EXHAUSTED: LIMITED,
    }.get(error.code(), REFUSED)
