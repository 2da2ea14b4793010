# The course in a container; docs/hub.md says how to build and run it.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends bubblewrap git make \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home reader
USER reader
WORKDIR /home/reader/large-models
COPY --chown=reader . .

# pip takes these from its environment: another index, or one more, such as that of PyTorch's build for the CPU.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 course.py install

EXPOSE 8888
CMD ["python3", "course.py", "lab", "--no-browser", "--ip=0.0.0.0", "--port=8888"]
