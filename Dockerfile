# The backend and the worker. For an NVIDIA GPU the default torch wheel from PyPI is the right one.
FROM python:3.11-slim
RUN useradd --create-home --uid 1001 hero && mkdir -p /data/hero && chown hero /data/hero
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE label_config*.xml ./
COPY backend backend
COPY hero_engine hero_engine
COPY tinyworld tinyworld
RUN pip install --no-cache-dir --constraint constraints.txt '.[postgres]'
USER hero
ENV HERO_HOME=/data/hero HERO_HOST=0.0.0.0 HERO_PORT=9090
EXPOSE 9090
CMD ["python", "-m", "backend.web"]
