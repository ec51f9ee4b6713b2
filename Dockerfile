# The gateway's image: two stages, so that nothing that builds is in what runs.
#
#   docker build -t blackbox-relay --build-arg REVISION="$(git rev-parse HEAD)" .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -p 8000:8000 -v ./secrets:/run/secrets:ro \
#     -e RELAY_BLACKBOX_API_KEY_FILE=/run/secrets/blackbox_api_key blackbox-relay
#
# Behind a company proxy, two build secrets help; neither leaves a trace in a layer:
#   --secret id=ca,src=company-ca.pem     a CA bundle for the package index
#   --secret id=pip_conf,src=pip.conf     pip's own configuration (index, credentials)
ARG BASE=python:3.12-slim-bookworm

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
SHELL ["/bin/sh", "-eu", "-c"]
WORKDIR /src
# The way of a frame is compiled; the compiler stays in this stage, so its version is Debian's matter.
# hadolint ignore=DL3008
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
# A venv is one directory to copy, and its interpreter has the same path in both stages.
RUN python -m venv --without-pip /opt/blackbox-relay
COPY requirements.txt deploy/requirements-build.txt ./
# Exactly what is locked, and only wheels: nothing is resolved here, and no foreign code is built.
RUN --mount=type=secret,id=ca,required=false \
    --mount=type=secret,id=pip_conf,required=false \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi; \
    if [ -s /run/secrets/pip_conf ]; then export PIP_CONFIG_FILE=/run/secrets/pip_conf; fi; \
    pip install --no-deps --require-hashes --only-binary :all: -r requirements-build.txt; \
    pip --python /opt/blackbox-relay/bin/python install \
      --no-deps --require-hashes --only-binary :all: -r requirements.txt; \
    pip check; \
    pip --python /opt/blackbox-relay/bin/python check
# After the dependencies, so that a change of the code reuses their layer.
COPY pyproject.toml setup.py README.md LICENSE ./
COPY app ./app
COPY blackbox_relay ./blackbox_relay
RUN BLACKBOX_RELAY_COMPILE=required \
    pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /tmp/wheel . \
    && pip --python /opt/blackbox-relay/bin/python install --no-deps --no-index /tmp/wheel/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Blackbox Relay" \
      org.opencontainers.image.description="The gateway between browsers and Dasha BlackBox agents" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# A fixed number, because `runAsNonRoot` cannot judge a name; nobody installs packages at run time.
RUN groupadd --gid 10001 relay \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp \
       --shell /usr/sbin/nologin relay \
    && rm -rf /usr/local/lib/python3.12/site-packages/pip* /usr/local/lib/python3.12/ensurepip \
       /usr/local/bin/pip*
COPY --from=build /opt/blackbox-relay /opt/blackbox-relay
COPY deploy/healthcheck.py /opt/blackbox-relay/healthcheck.py
# The file system is read-only in production: no bytecode is written, logs are not held back.
ENV PATH=/opt/blackbox-relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
# SIGTERM drains; whoever stops the container must wait longer than RELAY_DRAIN_DELAY +
# RELAY_DRAIN_TIMEOUT (docker's default is 10 s: `docker stop --time 330`).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 \
    CMD ["python", "-I", "/opt/blackbox-relay/healthcheck.py"]
# Exec form: the gateway is process 1, and signals reach it without a shell in between.
ENTRYPOINT ["blackbox-relay"]
CMD ["serve"]
