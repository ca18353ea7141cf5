# The kith image: one static binary and the roots of public certificate
# authorities, run by a user without rights. No shell, no package manager.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t kith .
#   docker run -v ./kith.yaml:/etc/kith/kith.yaml:ro -v kith-data:/var/lib/kith kith
#
# In a container, http.listen must be more than loopback to be reached from
# outside: set it to ":8080" and publish the port where it is wanted.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false \
        -ldflags "-s -w -X main.version=${VERSION}" -o /out/kith ./cmd/kith \
    && mkdir /out/data

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/kith /usr/bin/kith
# A new volume takes its owner from the folder that it covers.
COPY --from=build --chown=65532:65532 /out/data /var/lib/kith
USER 65532:65532
WORKDIR /var/lib/kith
EXPOSE 8080
ENTRYPOINT ["/usr/bin/kith"]
CMD ["serve", "-c", "/etc/kith/kith.yaml"]
