# One image with all programs, in two flavours that differ in what they start by themselves.
#
#   docker build -t streamgate/adapter:0.1.0 .
#   docker build -t streamgate/recommender:0.1.0 --target recommender .   # in place of VPA's image, whose Deployment names no command
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt LICENSE ./
COPY adapter adapter
COPY recommender recommender
COPY loadtest/sample loadtest/sample
# Exact versions, no extras: what tests and reports need stays out. The one thing more is what the recommender's flag
# --storage=prometheus asks Prometheus with.
RUN python -m venv /opt/streamgate \
 && /opt/streamgate/bin/pip install --no-cache-dir --constraint constraints.txt . prometheus-api-client

FROM python:3.11-slim AS base
LABEL org.opencontainers.image.title="streamgate" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/streamgate /opt/streamgate
ENV PATH=/opt/streamgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# A number, so that runAsNonRoot can be checked; the root file system may be read-only, only /tmp is written.
USER 65532:65532

FROM base AS recommender
EXPOSE 8942
ENTRYPOINT ["streamgate-recommender"]

FROM base AS rollout
ENTRYPOINT ["streamgate-rollout"]

FROM base AS adapter
EXPOSE 6443 4317 4318
ENTRYPOINT ["streamgate-adapter"]
