"""The function worker: serves invocations over HTTP and runs the handler through the Lambda Runtime API."""
