# Mondrian with its embedded model, for CPUs. docs/install.md says how it is used.
ARG PYTHON=3.13
FROM python:${PYTHON}-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY src ./src
RUN python -m venv /opt/mondrian
RUN /opt/mondrian/bin/pip install --no-cache-dir --constraint constraints.txt ".[mcp]"

FROM python:${PYTHON}-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/mondrian /opt/mondrian
RUN useradd --system --uid 10001 --create-home --home-dir /data mondrian
ENV PATH=/opt/mondrian/bin:$PATH MONDRIAN_HOME=/data MONDRIAN_HOST=0.0.0.0 PYTHONUNBUFFERED=1
USER mondrian
WORKDIR /data
# A new volume at /data begins with what is there now: the model.
RUN mondrian pull smollm2-135m
VOLUME /data
EXPOSE 5005
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5005/health/live', timeout=4)"]
STOPSIGNAL SIGTERM
# It does not start without a key (MONDRIAN_KEY), or --open.
CMD ["mondrian", "serve"]
