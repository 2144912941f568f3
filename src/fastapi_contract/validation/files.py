"""Files that clients upload."""


class File(bytes):
    """The content of a file that was uploaded in a form. A member of a generated model that is `format: binary` holds
    it, as `bytes`:

    @router.operation("uploadAttachment")
    async def upload_attachment(form: models.AttachmentForm) -> models.Attachment:
        file = File.of(form.attachment)
        return await store(file, name=file.name, media_type=file.media_type)
    """

    name: str | None = None
    """The file's name as the client sent it, without folders; None if it sent none. Never use it as a path."""
    media_type: str = "application/octet-stream"
    """As the client sent it, with its parameters. It is not checked against the content."""

    @classmethod
    def of(cls, content: bytes) -> "File":
        """Returns a member of a model as a File. Bytes from elsewhere have no name."""
        return content if isinstance(content, cls) else cls(content)
