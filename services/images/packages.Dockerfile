# The packages that the services import; an image of its own, because they change seldom and take long.
# Built without network from a context that holds them as site-packages, fetched on the host.
ARG PYTHON_BASE_IMAGE=esb-python-base:latest
FROM ${PYTHON_BASE_IMAGE}
COPY site-packages/ /opt/esb/packages/
RUN ["python3", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", "/opt/esb/packages"]
