"""Calls a coordinator of which nothing is known: its own description of itself says what there is to call.

    pip install grpcio-reflection
    python examples/python/discover.py                                              # what can be called
    python examples/python/discover.py vismae.v1.JobService/ListPipelines '{"pageSize": 10}'

Options and exit codes are those of `vismae`; see connection.py.
"""

import argparse
import sys

import grpc
from google.protobuf import json_format, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import connection

# Seconds that an answer may take.
DEADLINE = 30


def describe(pool, services):
    """Prints every method with what it takes and gives."""
    for name in services:
        for method in pool.FindServiceByName(name).methods:
            takes = ("stream " if method.client_streaming else "") + method.input_type.full_name
            gives = ("stream " if method.server_streaming else "") + method.output_type.full_name
            print(f"{name}/{method.name}({takes}) returns ({gives})")


def call(channel, pool, path, body):
    """Calls a method with one message, and prints each message of the answer as JSON."""
    service, _, name = path.partition("/")
    method = pool.FindServiceByName(service).FindMethodByName(name)
    takes, gives = (message_factory.GetMessageClass(kind) for kind in (method.input_type, method.output_type))
    kind = channel.unary_stream if method.server_streaming else channel.unary_unary
    stub = kind(f"/{path}", request_serializer=takes.SerializeToString, response_deserializer=gives.FromString)
    answer = stub(json_format.Parse(body, takes()), timeout=DEADLINE)
    for message in answer if method.server_streaming else [answer]:
        print(json_format.MessageToJson(message, descriptor_pool=pool))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    connection.add_options(parser)
    parser.add_argument("method", nargs="?", help="as SERVICE/METHOD; all are described when absent")
    parser.add_argument("body", nargs="?", default="{}", help="what it takes, as JSON")
    arguments = parser.parse_args()
    with connection.connect(parser, arguments) as channel:
        try:
            database = ProtoReflectionDescriptorDatabase(channel)
            services, pool = database.get_services(), DescriptorPool(database)
            if arguments.method is None:
                describe(pool, services)
            else:
                call(channel, pool, arguments.method, arguments.body)
        except grpc.RpcError as error:
            return connection.refused(error)


if __name__ == "__main__":
    sys.exit(main())
