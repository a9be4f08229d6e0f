# The light installation, made with README's command for it. To build and run:
#
#   docker build --tag rdpcodec .
#   docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/images" rdpcodec compress photo.png
FROM python:3.12-slim
COPY . /source
RUN cd /source && pip install --no-cache-dir --constraint constraints.txt . && rm -r /source
WORKDIR /images
ENTRYPOINT ["rdpcodec"]
