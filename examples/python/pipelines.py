"""Pipelines by program: submit one, watch it, stop it, list what there is.

The client is generated from the protocol; nothing of vismae has to be installed:

    pip install grpcio-tools grpcio-status grpcio-health-checking
    python -m grpc_tools.protoc --proto_path=proto --python_out=generated --grpc_python_out=generated proto/vismae/v1/*.proto
    PYTHONPATH=generated python examples/python/pipelines.py submit examples/python/ingest.json

Options and exit codes are those of `vismae`; see connection.py.
"""

import argparse
import json
import sys
import time
import uuid

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

import connection
from vismae.v1 import jobs_pb2, jobs_pb2_grpc, pipeline_pb2

# Seconds that an answer may take. What streams goes on for as long as the pipeline does.
DEADLINE = 30


def check(channel, _):
    """Asks whether the coordinator takes requests: any tool that knows grpc.health.v1 can."""
    request = health_pb2.HealthCheckRequest(service="vismae.v1.JobService")
    answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=DEADLINE)
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def submit(channel, arguments):
    """Queues a pipeline, and prints the name that it got.

    The request has a name of its own: sent again after an answer that never came, it is not carried out again.
    """
    with open(arguments.spec, encoding="utf-8") as file:
        spec = json_format.Parse(file.read(), pipeline_pb2.PipelineSpec())
    request = jobs_pb2.SubmitPipelineRequest(spec=spec, request_id=arguments.request_id or str(uuid.uuid4()))
    show(jobs_pb2_grpc.JobServiceStub(channel).SubmitPipeline(request, timeout=DEADLINE))


def watch(channel, arguments):
    """Prints every change until the pipeline is over. The exit code tells whether it succeeded.

    Where the connection breaks or another coordinator takes over, the cursor of the last change is where to go on.
    """
    request, tries = jobs_pb2.WatchPipelineRequest(name=arguments.pipeline), 0
    while True:
        try:
            for pipeline in jobs_pb2_grpc.JobServiceStub(channel).WatchPipeline(request):
                show(pipeline)
                request.cursor, succeeded, tries = pipeline.cursor, pipeline.state == jobs_pb2.STATE_SUCCEEDED, 0
            return 0 if succeeded else 1
        except grpc.RpcError as error:
            tries += 1
            if error.code() != grpc.StatusCode.UNAVAILABLE or not request.cursor or tries > 60:
                raise
            time.sleep(1)


def cancel(channel, arguments):
    """Stops what runs and forgets what waits."""
    request = jobs_pb2.CancelPipelineRequest(name=arguments.pipeline)
    show(jobs_pb2_grpc.JobServiceStub(channel).CancelPipeline(request, timeout=DEADLINE))


def list_all(channel, arguments):
    """Prints every pipeline that the filter wants, page by page."""
    jobs, token = jobs_pb2_grpc.JobServiceStub(channel), ""
    while True:
        request = jobs_pb2.ListPipelinesRequest(page_size=arguments.page_size, page_token=token, filter=arguments.filter)
        page = jobs.ListPipelines(request, timeout=DEADLINE)
        for pipeline in page.pipelines:
            show(pipeline)
        token = page.next_page_token
        if not token:
            return


def show(pipeline):
    """Prints a pipeline as one line of JSON."""
    state = jobs_pb2.State.Name(pipeline.state)
    states = {job.name: jobs_pb2.State.Name(job.state) for job in pipeline.jobs}
    created = pipeline.create_time.ToJsonString()
    print(json.dumps({"name": pipeline.name, "state": state, "jobs": states, "created": created}), flush=True)


def explain(error):
    """Prints why a call was refused: a line for people, and then a reason for programs and every field at fault.

    Of who may not do something, the line says all there is to say.
    """
    exit_code = connection.refused(error)
    if exit_code == connection.DENIED:
        return exit_code
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            print(f"  reason {info.reason} of {info.domain}", file=sys.stderr)
        elif detail.Unpack(bad):
            for violation in bad.field_violations:
                print(f"  {violation.field}: {violation.description}", file=sys.stderr)
    return exit_code


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    connection.add_options(parser)
    commands = parser.add_subparsers(required=True)
    commands.add_parser("check").set_defaults(run=check)
    command = commands.add_parser("submit")
    command.add_argument("spec", help="a vismae.v1.PipelineSpec as JSON")
    command.add_argument("--request-id", help="a UUID; the same one again gives the first answer")
    command.set_defaults(run=submit)
    for name, run in [("watch", watch), ("cancel", cancel)]:
        command = commands.add_parser(name)
        command.add_argument("pipeline")
        command.set_defaults(run=run)
    command = commands.add_parser("list")
    command.add_argument("--page-size", type=int, default=100)
    command.add_argument("--filter", default="", help='as \'state = RUNNING AND name : "demo*"\'')
    command.set_defaults(run=list_all)
    arguments = parser.parse_args()
    with connection.connect(parser, arguments) as channel:
        try:
            return arguments.run(channel, arguments)
        except grpc.RpcError as error:
            return explain(error)


if __name__ == "__main__":
    sys.exit(main())
