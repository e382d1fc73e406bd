# One image for web, workers, beat and migrations; docker-compose.yml says what each runs.

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.lock /tmp/
RUN /opt/venv/bin/pip install --require-hashes -r /tmp/requirements.lock

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LEADFLOW_DATA=/var/lib/leadflow
# The uploads and results of long jobs live in the data folder, shared by web and workers.
RUN useradd --system --uid 10001 --home-dir /app leadflow \
    && install -d -o leadflow -g leadflow -m 0750 /app /var/lib/leadflow
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY --chown=leadflow:leadflow . .
USER leadflow
# Fingerprinted, compressed static files; the key serves this one command and stays out of the image.
RUN SECRET_KEY=only-for-collectstatic DATABASE_URL=postgres:///none REDIS_URL=redis://none \
    python manage.py collectstatic --noinput --verbosity 0
VOLUME /var/lib/leadflow
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://localhost:8000/healthz', timeout=4)"]
CMD ["gunicorn", "leadflow.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", \
     "--threads", "8", "--worker-tmp-dir", "/dev/shm", "--no-control-socket", "--access-logfile", "-"]
