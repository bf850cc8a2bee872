# One image with all programs, in three flavours that differ in what they start by themselves and share all layers.
#
#   docker build -t streamgate/adapter:0.1.0 .
#   docker build -t streamgate/recommender:0.1.0 --target recommender .   # in place of VPA's image, whose Deployment names no command
#   docker build -t streamgate/rollout:0.1.0 --target rollout .
ARG PYTHON=python:3.11-slim

# What the programs stand on, before their sources: a change of ours installs none of it again.
FROM ${PYTHON} AS dependencies
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# Exact versions, no extras: what tests and reports need stays out. The one thing more is what the recommender's flag
# --storage=prometheus asks Prometheus with.
RUN python -m venv /opt/streamgate \
 && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" >needed.txt \
 && /opt/streamgate/bin/pip install --no-cache-dir --constraint constraints.txt --requirement needed.txt prometheus-api-client

# Less what no program imports: the classes of the Kubernetes client that stand for API objects and groups (it loads each
# when it is asked for, and we decode with msgspec), tests of packages, and what installs packages.
FROM dependencies AS slim
# WORKDIR takes no pattern, and which Python it is the base says.
# hadolint ignore=DL3003
RUN cd /opt/streamgate/lib/python3*/site-packages \
 && for folder in kubernetes/client kubernetes/aio/client; do \
      find $folder/api $folder/models -name '*.py*' ! -name '__init__.*' -exec rm {} +; \
    done \
 && find . -type d -name tests -prune -exec rm -r {} + \
 && rm -r pip pip-* setuptools setuptools-* pkg_resources _distutils_hack distutils-precedence.pth /opt/streamgate/bin/pip*

FROM dependencies AS build
COPY LICENSE ./
COPY adapter adapter
COPY recommender recommender
COPY loadtest/sample loadtest/sample
RUN /opt/streamgate/bin/pip install --no-cache-dir --no-deps --prefix /program .

FROM ${PYTHON} AS base
LABEL org.opencontainers.image.title="streamgate" org.opencontainers.image.licenses="Apache-2.0"
COPY --from=slim /opt/streamgate /opt/streamgate
COPY --from=build /program /opt/streamgate
# HOME, as the user below has no entry in /etc/passwd, and a kubeconfig is looked for in ~/.kube.
ENV PATH=/opt/streamgate/bin:$PATH HOME=/ PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The base has Python's library without byte code, and the user below could not keep what a start makes of it: each program
# is started here once, so that what it loads is there.
RUN for program in adapter recommender rollout; do \
      PYTHONDONTWRITEBYTECODE='' "streamgate-$program" --help >/dev/null || exit 1; \
    done
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
