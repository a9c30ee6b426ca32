# certificates.bash - certificates for tests, by openssl: a CA, and certificates that it has signed. Sourced by
# test/kafka/start and by bats files. All are PEM: NAME.crt, NAME.key (PKCS #8), NAME.pem (both).

make_ca() { # DIR NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$2" \
        -keyout "$1/$2.key" -out "$1/$2.crt" 2>/dev/null
}

# The host names are those that clients may find it by: DNS:localhost,IP:127.0.0.1
make_certificate() { # DIR CA NAME [HOST_NAMES]
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$3" -keyout "$1/$3.key" \
        -out "$1/$3.csr" 2>/dev/null
    openssl x509 -req -in "$1/$3.csr" -CA "$1/$2.crt" -CAkey "$1/$2.key" -CAcreateserial -days 2 -out "$1/$3.crt" \
        -extfile <(printf '%s\n' "${4:+subjectAltName=$4}") 2>/dev/null
    cat "$1/$3.key" "$1/$3.crt" >"$1/$3.pem"
    rm "$1/$3.csr"
}
