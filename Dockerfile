# The sidecar, offline and without root:
#   docker build -t guardrail . && docker run --rm -p 127.0.0.1:8000:8000 -e GUARDRAIL_API_KEY guardrail
# More options of `guardrail serve` go after the image: docker run … guardrail --host 0.0.0.0 --policy /etc/guardrail.toml
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY guardrail guardrail
COPY adapters adapters
COPY training training
RUN python -m venv /opt/guardrail && /opt/guardrail/bin/pip install --no-cache-dir '.[server]'

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin guardrail
COPY --from=build /opt/guardrail /opt/guardrail
ENV PATH=/opt/guardrail/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 GUARDRAIL_OFFLINE=1 HF_HUB_OFFLINE=1
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["guardrail", "serve"]
CMD ["--host", "0.0.0.0", "--port", "8000"]
