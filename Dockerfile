# syntax=docker/dockerfile:1
# The backend and the worker. For an NVIDIA GPU the default torch wheel from PyPI is the right one;
# docs/teams.md says how to build without a GPU.

# What the program needs, as a list of its own: only another list installs everything again.
FROM python:3.11-slim AS requirements
COPY pyproject.toml .
RUN python -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*project['dependencies'], *project['optional-dependencies']['postgres'], sep='\n')" > requirements.txt

FROM python:3.11-slim
ARG PIP_EXTRA_INDEX_URL
RUN useradd --create-home --uid 1001 hero && mkdir -p /data/hero && chown hero /data/hero
COPY constraints.txt .
COPY --from=requirements requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip pip install --constraint constraints.txt --requirement requirements.txt
RUN --mount=type=bind,target=/source,rw pip install --no-deps /source
USER hero
WORKDIR /home/hero
ENV HERO_HOME=/data/hero HERO_HOST=0.0.0.0 HERO_PORT=9090
EXPOSE 9090
CMD ["python", "-m", "backend.web"]
