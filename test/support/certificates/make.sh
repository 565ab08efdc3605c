# Makes a small PKI of everything that certificate tests need, by the openssl program, in the current directory.
# Keys: NAME.key, certificates: NAME.crt, lists: NAME.crl.
set -e
export LC_ALL=C OPENSSL_CONF=/dev/null

# key NAME [ec:CURVE|rsa:BITS|pss:BITS|ed25519|ed448]
key() {
  local kind=${2:-ec:prime256v1}
  case $kind in
    ec:*) openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:${kind#ec:} -out $1.key ;;
    rsa:*) openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:${kind#rsa:} -out $1.key ;;
    pss:*) openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:${kind#pss:} -out $1.key ;;
    *) openssl genpkey -algorithm $kind -out $1.key ;;
  esac 2>/dev/null
}
# root NAME KEY [DIGEST] [extensions]
root() {
  [ -f $1.key ] || key $1 $2
  openssl req -x509 -new -config empty.cnf -key $1.key ${3:--sha256} -out $1.crt -days 30 -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:true -addext "${4:-keyUsage=keyCertSign,cRLSign}"
}
# sign NAME CA EXTENSIONS [options of openssl x509]: the key is there
sign() {
  openssl req -new -config empty.cnf -key $1.key -subj "${SUBJECT:-/CN=$1}" -out $1.csr
  serial=$((serial + 1))
  openssl x509 -req -in $1.csr -CA $2.crt -CAkey $2.key -set_serial $serial -out $1.crt -days ${DAYS:-30} \
    -extfile <(printf "$3") "${@:4}" 2>/dev/null
}
# leaf NAME CA [KEY] [options of openssl x509]
leaf() {
  key $1 $3
  sign $1 $2 "$SERVER" "${@:4}"
}
# authority NAME CA [KEY] [EXTENSIONS]
authority() {
  key $1 $3
  sign $1 $2 "basicConstraints=critical,CA:true\n${4:-keyUsage=keyCertSign,cRLSign}"
}
# dated NAME CA FROM UNTIL [EXTENSIONS]
dated() {
  key $1
  openssl req -new -config empty.cnf -key $1.key -subj /CN=$1 -out $1.csr
  openssl ca -config $2.cnf -batch -in $1.csr -out $1.crt -notext -startdate $3 -enddate $4 -extfile <(printf "${5:-$SERVER}") 2>/dev/null
}
# register NAME: a database for lists of this authority
register() {
  : > $1.index; echo 1001 > $1.serial; echo 01 > $1.number
  sed "s/@/$1/g" template.cnf > $1.cnf
}
# list OUT CA: what is revoked so far
list() { openssl ca -config $2.cnf -gencrl -out $1.crl "${@:3}" 2>/dev/null; }
# revoke NAME CA
revoke() { openssl ca -config $2.cnf -revoke $1.crt 2>/dev/null; }

cat > empty.cnf <<'CNF'
[req]
distinguished_name = dn
[dn]
CNF
cat > template.cnf <<'CNF'
[ca]
default_ca = d
[d]
database = @.index
serial = @.serial
crlnumber = @.number
new_certs_dir = .
certificate = @.crt
private_key = @.key
default_md = sha256
policy = p
default_crl_days = 30
default_days = 30
unique_subject = no
[p]
commonName = supplied
CNF

serial=100
SERVER='keyUsage=digitalSignature,keyEncipherment,keyAgreement\nextendedKeyUsage=serverAuth'
CLIENT='keyUsage=digitalSignature\nextendedKeyUsage=clientAuth'

root ca; root other; root rsa-ca rsa:2048; register ca
root ca-sha1 ec:prime256v1 -sha1; root ca-1024 rsa:1024; root ca-512 rsa:512; root ca-p521 ec:secp521r1 -sha512
root ca-no-sign ec:prime256v1 -sha256 keyUsage=digitalSignature
authority sub ca; authority deeper sub; authority sub-no-sign ca '' keyUsage=digitalSignature; register sub
key limited; sign limited ca 'basicConstraints=critical,CA:true,pathlen:0\nkeyUsage=keyCertSign'; authority below-limited limited
openssl x509 -in ca.crt -trustout -addtrust serverAuth -out ca-trusted.crt
openssl x509 -in ca.crt -trustout -addreject serverAuth -out ca-rejecting.crt

key client; sign client ca "$CLIENT"
key client-other; sign client-other other "$CLIENT"
key client-sha1; sign client-sha1 ca "$CLIENT" -sha1; key client-1024 rsa:1024; sign client-1024 ca "$CLIENT"
for kind in rsa:2048 ed25519; do key own-${kind%:*} $kind; sign own-${kind%:*} ca "$CLIENT"; done
key own-deep; sign own-deep sub "$CLIENT"
openssl x509 -in client.crt -trustout -addtrust clientAuth -out client-trusted.crt
leaf server ca
for bits in 512 1024 2048; do leaf rsa-$bits ca rsa:$bits; done
for curve in secp224r1 secp384r1 secp521r1 secp256k1 brainpoolP256r1 brainpoolP512r1; do leaf ec-$curve ca ec:$curve; done
leaf ed25519 ca ed25519; leaf ed448 ca ed448; leaf pss ca pss:2048
leaf by-rsa rsa-ca ''; leaf pss-signed rsa-ca '' -sigopt rsa_padding_mode:pss
leaf sha1 ca '' -sha1; leaf md5 rsa-ca '' -md5; leaf sha1-rsa rsa-ca '' -sha1; leaf sha512 ca '' -sha512
leaf by-sha1 ca-sha1; leaf by-1024 ca-1024; leaf by-512 ca-512; leaf by-p521 ca-p521; leaf by-no-sign ca-no-sign
leaf deep sub; leaf deepest deeper; leaf by-sub-no-sign sub-no-sign; leaf by-server server; leaf beyond below-limited
cat sub.crt > chain-sub.crt; cat deeper.crt sub.crt > chain-deeper.crt; cat below-limited.crt limited.crt > chain-limited.crt
cat ca.crt sub.crt > both-sub.crt; cat deep.crt sub.crt > deep-chain.crt; cat ca.crt other.crt > both.crt; cat other.crt ca.crt > both-turned.crt

key plain; sign plain ca basicConstraints=CA:false
key as-client; sign as-client ca "$CLIENT"
key no-usage; sign no-usage ca extendedKeyUsage=serverAuth
key usage-only; sign usage-only ca keyUsage=digitalSignature,keyEncipherment
key cert-sign; sign cert-sign ca 'keyUsage=keyCertSign\nextendedKeyUsage=serverAuth'
key any-usage; sign any-usage ca 'keyUsage=digitalSignature\nextendedKeyUsage=anyExtendedKeyUsage'
key netscape; sign netscape ca nsCertType=server
key netscape-client; sign netscape-client ca nsCertType=client
key critical; sign critical ca "$SERVER\n1.2.3.4=critical,DER:0500"
SUBJECT='/C=DE/O=Acme, Inc./CN=vpn.example' leaf named ca
key rich; SUBJECT='/OU=first/OU=edge/UID=e7/emailAddress=own@vpn.example/CN=vpn.example' sign rich ca "$SERVER\nsubjectAltName=DNS:vpn.example,email:alt@vpn.example"
dated expired ca 20200101000000Z 20210101000000Z
dated future ca 20400101000000Z 20410101000000Z
openssl x509 -in server.crt -signkey server.key -out self-signed.crt -days 30 2>/dev/null; cp server.key self-signed.key

dated client-expired ca 20200101000000Z 20210101000000Z "$CLIENT"
dated client-future ca 20400101000000Z 20410101000000Z "$CLIENT"
dated revoked ca 20200101000000Z 20400101000000Z; dated client-revoked ca 20200101000000Z 20400101000000Z "$CLIENT"
# older by a day than the next one
day() { date -u -d "$1" +%Y%m%d%H%M%SZ; }
list nobody ca -crl_lastupdate $(day yesterday) -crl_nextupdate $(day "next month")
revoke revoked ca; revoke client-revoked ca; list revoked ca
sed 's/\(R\t[0-9Z]*\t\)[0-9]*Z/\11611290150Z/' -i ca.index; list odd-time ca
list expired ca -crl_lastupdate 20200101000000Z -crl_nextupdate 20200201000000Z
list future ca -crl_lastupdate 20400101000000Z -crl_nextupdate 20400201000000Z
list sub sub
register other; list other other
cat nobody.crl revoked.crl > old-new.crl; cat revoked.crl nobody.crl > new-old.crl
cat revoked.crl sub.crl > ca-sub.crl; cat sub.crl revoked.crl > sub-ca.crl; cat other.crl nobody.crl > other-ca.crl
cat ca.crt revoked.crl > ca-with-list.crt
SUBJECT=/CN=sub-revoked authority sub-revoked ca; leaf under-revoked sub-revoked
revoke sub-revoked ca; list sub-revoked ca

pack() { openssl pkcs12 -export -in client.crt -inkey client.key -out $1.p12 "${@:2}"; }
pack p12 -passout pass:secret -certfile ca.crt
pack p12-bare -passout pass:secret
pack p12-empty -passout pass: -certfile ca.crt
pack p12-3des -passout pass:secret -certfile ca.crt -certpbe PBE-SHA1-3DES -keypbe PBE-SHA1-3DES -macalg sha1
pack p12-rc2 -passout pass:secret -certfile ca.crt -legacy
pack p12-other -passout pass:secret -certfile other.crt
openssl pkcs12 -export -nokeys -in client.crt -out p12-no-key.p12 -passout pass:secret
openssl pkcs8 -topk8 -in client.key -passout pass:secret -out locked.key
openssl ec -in client.key -aes256 -passout pass:secret -out locked-old.key 2>/dev/null
openssl pkcs8 -topk8 -v1 PBE-MD5-DES -provider legacy -provider default -in client.key -passout pass:secret -out locked-des.key
printf 'secret\n' > secret.txt; printf 'wrong\n' > wrong.txt
openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out ffdhe2048.pem 2>/dev/null
