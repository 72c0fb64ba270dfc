/** The shell function `has_image REFERENCE`: 0 when Docker has it, 1 when Docker lacks it, else 2. */
export const imageFunction = `has_image() {
  seen=$(timeout 30 docker image inspect --format '{{.Id}}' "$1" 2>&1)
  case $?:$seen in
  0:sha256:*) return 0 ;;
  [1-9]*:*[Nn]'o such image'*) return 1 ;;
  *) echo "$seen" >&2; return 2 ;;
  esac
}`;
