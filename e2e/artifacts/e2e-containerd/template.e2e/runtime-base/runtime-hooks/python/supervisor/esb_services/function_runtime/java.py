"""The command that runs a Java handler: the official runtime interface client, quick to start, bounded."""

from collections.abc import Mapping

MAIN = "com.amazonaws.services.lambda.runtime.api.client.AWSLambda"
NATIVE_PROPERTY = "com.amazonaws.services.lambda.runtime.api.client.runtimeapi.NativeClient.JNI"
OUTSIDE_HEAP_MIB = 128
"""What a worker needs beside the heap: the JVM's own memory and the supervisor."""


def command(prepared: str, handler: str, environ: Mapping[str, str], supervisor: int) -> list[str]:
    """Return the command of a function.

    Args:
        prepared: the folder that `prepare.py` of the Java hooks filled.
        handler: such as `shop.Pay::handleRequest`.
        environ: the function's environment.
        supervisor: pid of the process that is told, by SIGUSR1, that the heap is full.
    """
    with open(f"{prepared}/classpath", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is slow to import
        class_path = file.read().strip()
    return [
        "java",
        f"-XX:SharedArchiveFile={prepared}/classes.jsa",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        "-XX:+ErrorFileToStderr",
        *_memory(environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""), supervisor),
        f"-Djava.io.tmpdir={environ.get('TMPDIR', '/tmp')}",  # noqa: S108
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        f"-D{NATIVE_PROPERTY}={prepared}/native.so",
        "-classpath",
        class_path,
        MAIN,
        handler,
    ]


def version(prepared: str) -> str:
    """Return the version of Java that the folder was prepared for, such as `17`."""
    with open(f"{prepared}/version", encoding="utf-8") as file:  # noqa: PTH123
        return file.read().strip()


def _memory(size: str, supervisor: int) -> list[str]:
    """Bound the heap so that the whole worker keeps its limit; a full heap ends it as the kernel would."""
    if not size.isdigit() or not int(size):
        return []
    heap = max(int(size) // 2, int(size) - OUTSIDE_HEAP_MIB)
    return [f"-Xmx{heap}m", f"-XX:OnOutOfMemoryError=kill -USR1 {supervisor} && kill -KILL %p"]
