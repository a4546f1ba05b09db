# The handler is what the runtime asks for, else what the image's CMD says.
export _HANDLER="${_HANDLER:-$1}"
exec python3 -m esb_services.function_runtime
