# The producer: a wheel with the transcoder compiled, on a slim Python, as a user without rights.
FROM python:3.12-slim AS build

# Not pinned: any compiler of the image's suite will do, and none of it reaches the result.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY pyproject.toml setup.py README.md ./
COPY schemas schemas
COPY producer producer

# The build goes on without a compiler; the image must not.
RUN pip wheel --no-cache-dir --wheel-dir /wheels . \
    && python -m zipfile -l /wheels/pg_producer-*.whl > /tmp/content \
    && grep -q 'producer/transcode/.*\.so' /tmp/content

FROM python:3.12-slim

# Not pinned: the folder of wheels holds one version of each.
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels pg-producer \
    && useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin producer

USER 10001
ENV PYTHONUNBUFFERED=1

# Reads the same PRODUCER_ variables as `run`; with a --config file of your own, give a check that names it.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 CMD ["pg-producer", "status"]

# So that `docker stop` is the orderly end: stop reading, flush, last confirm.
STOPSIGNAL SIGTERM
ENTRYPOINT ["pg-producer"]
CMD ["run"]
