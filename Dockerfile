# One image for every role: beat, the workers, Flower. The command says which.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS python
RUN { command -v python3 && command -v tini; } || { \
        apt-get update && \
        apt-get install -y --no-install-recommends python3 tini ca-certificates && \
        rm -rf /var/lib/apt/lists/*; }

FROM python AS packages
RUN python3 -c "import ensurepip" 2>/dev/null || { \
        apt-get update && \
        apt-get install -y --no-install-recommends python3-venv && \
        rm -rf /var/lib/apt/lists/*; }
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_TRUSTED_HOST
ARG PIP_CERT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
RUN python3 -m venv /opt/escapement && python3 -m venv /opt/builder
COPY constraints.txt pyproject.toml ./
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
        >dependencies.txt && \
    python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
        >builders.txt && \
    /opt/escapement/bin/pip install -c constraints.txt -r dependencies.txt && \
    /opt/builder/bin/pip install -c constraints.txt wheel -r builders.txt

FROM packages AS wheel
COPY . .
RUN /opt/builder/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /wheel .

FROM python
ARG ESCAPEMENT_UID=10001
RUN useradd --uid "$ESCAPEMENT_UID" --no-create-home --home-dir /tmp --shell /usr/sbin/nologin escapement && \
    install -d -o escapement -g escapement /data
COPY --from=packages /opt/escapement /opt/escapement
COPY --from=wheel /wheel /wheel
RUN /opt/escapement/bin/pip install --no-deps --no-index --no-cache-dir /wheel/*.whl && \
    ln -s "$(echo /opt/escapement/lib/python3*/site-packages)" /app
ENV PATH=/opt/escapement/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
WORKDIR /app
USER escapement
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["celery", "-A", "workers", "--help"]
