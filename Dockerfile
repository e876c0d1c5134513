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
ENV HERO_HOME=/data/hero HERO_HOST=0.0.0.0
EXPOSE 9090
CMD ["gunicorn", "--bind", "0.0.0.0:9090", "--workers", "1", "--threads", "8", "--timeout", "0", "--no-control-socket", "backend.web.app:create_app()"]
